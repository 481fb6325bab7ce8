import type { Role } from '@kohort/contract';
import { useSpeech } from '../i18n/language.ts';
import { Notice } from '../ui/layout.tsx';
import { useMay } from './session.tsx';

/** In place of an action that is not available: the role that it needs. */
export function RoleNote({ needs }: { readonly needs: 'viewer' | 'editor' | 'admin' }) {
  const { text } = useSpeech();
  if (useMay(needs satisfies Role)) return null;
  return (
    <Notice>
      {text(needs === 'admin' ? 'role.adminOnly' : needs === 'editor' ? 'role.editorOnly' : 'role.viewerOnly')}
    </Notice>
  );
}
