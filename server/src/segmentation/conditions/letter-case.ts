/**
 * Text without regard to case, character by character, so that SQL can do the same: each character stands for all that Unicode
 * maps to one another one by one. `ß` and `SS` differ, as do the dotted and the dotless i of Turkish.
 */
export function foldCase(text: string): string {
  // Of ASCII, which nearly all texts are, lower case is the same and quicker.
  if (isAscii.test(text)) return text.toLowerCase();
  let folded = '';
  for (const character of text) folded += foldCharacter(character);
  return folded;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them.
const isAscii = /^[\x00-\x7f]*$/;
const dotlessI = 'ı';

function foldCharacter(character: string): string {
  if (character === dotlessI) return character;
  const upper = single(character, character.toUpperCase());
  return single(upper, upper.toLowerCase());
}

/** What a character is mapped to, unless that is several characters: then the character itself. */
function single(character: string, mapped: string): string {
  const code = mapped.codePointAt(0) ?? 0;
  return mapped.length === (code > 0xffff ? 2 : 1) ? mapped : character;
}

/** The last block with letters of two cases ends below this. */
const endOfCasedCharacters = 0x1f000;

let variants: ReadonlyMap<string, readonly string[]> | undefined;

/** Every character that folds to this one, other than itself. */
export function caseVariantsOf(folded: string): readonly string[] {
  variants ??= findVariants();
  return variants.get(folded) ?? [];
}

function findVariants(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (let code = 0; code < endOfCasedCharacters; code++) {
    if (code === 0xd800) code = 0xe000;
    const character = String.fromCodePoint(code);
    const folded = foldCharacter(character);
    if (folded === character) continue;
    const others = found.get(folded);
    if (others === undefined) found.set(folded, [character]);
    else others.push(character);
  }
  return found;
}
