import type { Role } from '@kohort/contract';
import { useSpeech } from '../i18n/language.ts';
import { Notice } from '../ui/layout.tsx';
import { useMay } from './session.tsx';

/** Where something is not offered: who may do it. */
export function RoleNote({ needs }: { readonly needs: 'viewer' | 'editor' | 'admin' }) {
  const { text } = useSpeech();
  if (useMay(needs satisfies Role)) return null;
  return (
    <Notice>
      {text(needs === 'admin' ? 'role.adminOnly' : needs === 'editor' ? 'role.editorOnly' : 'role.viewerOnly')}
    </Notice>
  );
}
