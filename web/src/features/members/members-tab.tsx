import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { root } from '../../api/call.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button, buttonClass } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Choices } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout } from '../../ui/layout.tsx';
import { AddDialog } from './add-dialog.tsx';
import { ExcludedList } from './excluded-list.tsx';
import { MemberList } from './member-list.tsx';
import { UploadDialog } from './upload-dialog.tsx';

const route = getRouteApi('/segments/$slug/members');

type Opened = 'add' | 'upload';

function MemberButtons({ slug, onOpen }: { readonly slug: string; readonly onOpen: (dialog: Opened) => void }) {
  const { text } = useSpeech();
  const mayEdit = useMay('editor');
  return (
    <div className={layout.row}>
      <a
        className={buttonClass('secondary')}
        href={`${root}/api/segments/${encodeURIComponent(slug)}/export`}
        download={`${slug}.csv`}
      >
        <Icon name="download" /> {text('members.export')}
      </a>
      {mayEdit && (
        <>
          <Button onPress={() => onOpen('upload')}>
            <Icon name="upload" /> {text('members.upload')}
          </Button>
          <Button look="primary" onPress={() => onOpen('add')}>
            <Icon name="plus" /> {text('members.add')}
          </Button>
        </>
      )}
    </div>
  );
}

export function MembersTab() {
  const { text } = useSpeech();
  const { slug } = route.useParams();
  const { show = 'members' } = route.useSearch();
  const navigate = useNavigate({ from: '/segments/$slug/members' });
  const [dialog, setDialog] = useState<Opened>();
  const close = () => setDialog(undefined);
  return (
    <>
      <div className={classes(layout.row, layout.apart)}>
        <Choices
          label={text('members.list')}
          isLabelHidden
          value={show}
          onChange={(next) => navigate({ search: { show: next === 'members' ? undefined : next } })}
          items={[
            { id: 'members', text: text('members.listMembers') },
            { id: 'excluded', text: text('members.listExcluded') },
          ]}
        />
        <MemberButtons slug={slug} onOpen={setDialog} />
      </div>
      {show === 'members' ? <MemberList slug={slug} /> : <ExcludedList slug={slug} />}
      <RoleNote needs="editor" />
      {dialog === 'add' && <AddDialog slug={slug} onClose={close} />}
      {dialog === 'upload' && <UploadDialog target={{ segment: slug }} onClose={close} />}
    </>
  );
}
