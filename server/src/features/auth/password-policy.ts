import { invalid } from '@kohort/contract';
import type { Mode } from '../../config.ts';

const minCharacters: Readonly<Record<Mode, number>> = { evaluation: 1, production: 8 };
const maxCharacters = 128;

let commonest: Promise<ReadonlySet<string>> | undefined;

/** The bundled list of common passwords, in lower case. Loaded on first use, because evaluation mode never needs it. */
function loadCommonest(): Promise<ReadonlySet<string>> {
  commonest ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) =>
      new Set(
        dictionary['passwords-common']
          .map((one) => one.toLowerCase())
          .filter((one) => one.length >= minCharacters.production),
      ),
  );
  return commonest;
}

/** The flaw of a new password, as the rest of a sentence about it. Undefined if it has none. The password is not trimmed. */
export async function flawOf(password: string, mode: Mode): Promise<string | undefined> {
  const characters = [...password].length;
  if (characters < minCharacters[mode] || characters > maxCharacters)
    return `must have ${minCharacters[mode]} to ${maxCharacters} characters`;
  if (mode === 'production' && (await loadCommonest()).has(password.toLowerCase())) {
    return 'is among the commonest passwords; choose another';
  }
  return undefined;
}

/** @throws Problem 400 that names the field. */
export async function refuseFlawed(path: string, password: string, mode: Mode): Promise<void> {
  const flaw = await flawOf(password, mode);
  if (flaw !== undefined) throw invalid(path, flaw);
}
