/** Splits pasted ids: one per line, or separated by commas, semicolons or tabs. Duplicates count once. */
export function pastedIds(text: string): readonly string[] {
  const ids = text.split(/[\n\r,;\t]+/).map((id) => id.trim());
  return [...new Set(ids.filter((id) => id !== ''))];
}

export type IdKind = 'theirs' | 'ours';

export const refOf = (id: string, kind: IdKind): string => (kind === 'ours' ? id : `ext:${id}`);

/** The ids as a CSV for an import, which accepts any number of them. */
export function csvOf(ids: readonly string[], kind: IdKind): string {
  const cells = ids.map((id) => `"${id.replaceAll('"', '""')}"`);
  return [kind === 'ours' ? 'user_id' : 'external_id', ...cells, ''].join('\n');
}
