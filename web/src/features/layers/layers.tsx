import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import type { Layer } from '../../api/types.ts';
import { useSpeech } from '../../i18n/language.ts';
import { RoleNote } from '../../session/roles.tsx';
import { useMay } from '../../session/session.tsx';
import { Button } from '../../ui/button.tsx';
import { Confirm } from '../../ui/confirm.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Failure } from '../../ui/failure.tsx';
import { TextField } from '../../ui/field.tsx';
import { FormActions } from '../../ui/form-actions.tsx';
import { Icon } from '../../ui/icons.tsx';
import { Card, Empty, layout, Page } from '../../ui/layout.tsx';
import { slugForm } from '../segments/details.tsx';
import { LayerBar } from './layer-bar.tsx';

/** One page; a service has few layers. */
const mostLayers = 1000;

function NewLayer({ onClose }: { readonly onClose: () => void }) {
  const { text } = useSpeech();
  const queries = useQueryClient();
  const [slug, setSlug] = useState('');
  const [error, setError] = useState<unknown>();
  const create = async () => {
    try {
      await api.createLayer({ body: { slug } });
      await queries.invalidateQueries({ queryKey: ['layers'] });
      onClose();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <Dialog
      title={text('layers.create')}
      isOpen
      onClose={onClose}
      onSubmit={create}
      actions={<FormActions onClose={onClose} submit={text('layers.create')} isDisabled={!slugForm.test(slug)} />}
    >
      <TextField
        label={text('details.slug')}
        hint={text('details.slugHint')}
        value={slug}
        onChange={setSlug}
        autoFocus
        isMono
      />
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}

function LayerCard({ layer }: { readonly layer: Layer }) {
  const { text, percent } = useSpeech();
  const mayEdit = useMay('editor');
  const queries = useQueryClient();
  const [isOpen, setIsOpen] = useState(false);
  const remove = async () => {
    await api.deleteLayer({ params: { slug: layer.slug } });
    await queries.invalidateQueries({ queryKey: ['layers'] });
  };
  return (
    <Card
      title={layer.slug}
      actions={
        mayEdit &&
        layer.segments.length === 0 && (
          <Button isSmall look="quiet" onPress={() => setIsOpen(true)}>
            <Icon name="trash" /> {text('delete')}
          </Button>
        )
      }
    >
      <LayerBar ranges={layer.segments} />
      {layer.segments.length === 0 ? (
        <p className={layout.soft}>{text('layers.free')}</p>
      ) : (
        <table className={layout.table}>
          <thead>
            <tr>
              <th scope="col">{text('list.segment')}</th>
              <th scope="col" className={layout.number}>
                {text('layers.range')}
              </th>
            </tr>
          </thead>
          <tbody>
            {layer.segments.map(({ slug, from, to }) => (
              <tr key={slug}>
                <td>
                  <Link to="/segments/$slug" params={{ slug }}>
                    {slug}
                  </Link>
                </td>
                <td className={layout.number}>
                  {percent(from)} – {percent(to)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Confirm
        title={text('layers.deleteTitle', { slug: layer.slug })}
        isOpen={isOpen}
        onClose={() => setIsOpen(false)}
        button={text('delete')}
        run={remove}
        isDanger
      >
        <p>{text('layers.deleteHint')}</p>
      </Confirm>
    </Card>
  );
}

export function LayersPage() {
  const { text } = useSpeech();
  const mayEdit = useMay('editor');
  const [isNew, setIsNew] = useState(false);
  const { data, error, isPending, refetch } = useQuery({
    queryKey: ['layers'],
    queryFn: ({ signal }) => api.listLayers({ query: { limit: mostLayers }, signal }),
    retry: false,
  });
  const create = mayEdit && (
    <Button look="primary" onPress={() => setIsNew(true)}>
      <Icon name="plus" /> {text('layers.create')}
    </Button>
  );
  return (
    <Page title={text('nav.layers')} lead={text('layers.lead')} actions={create}>
      {error && <Failure error={error} onRetry={() => refetch()} />}
      {isPending && !error && <div className={layout.loading}>{text('loading')}</div>}
      {data?.layers.map((layer) => (
        <LayerCard key={layer.id} layer={layer} />
      ))}
      {data?.layers.length === 0 && <Empty title={text('layers.none')}>{text('layers.noneHint')}</Empty>}
      <RoleNote needs="editor" />
      {isNew && <NewLayer onClose={() => setIsNew(false)} />}
    </Page>
  );
}
