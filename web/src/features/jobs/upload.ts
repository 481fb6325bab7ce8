import { addressOf, send } from '../../api/call.ts';

export type ImportMode = 'add' | 'remove' | 'replace';
export type Unknown = 'create' | 'reject' | 'skip';

export interface ImportOptions {
  readonly mode?: ImportMode;
  readonly unknown?: Unknown;
  readonly dry_run?: boolean;
  readonly expires_at?: string | undefined;
}

async function upload(
  path: string,
  params: Record<string, string>,
  options: ImportOptions,
  body: Blob | string,
  type: string,
) {
  const address = addressOf(path, { params, query: { ...options, dry_run: options.dry_run ? 'true' : undefined } });
  const answer: unknown = await (
    await send(address, { method: 'POST', headers: { 'content-type': type }, body })
  ).json();
  return answer as { job: string };
}

export const uploadMembers = (slug: string, options: ImportOptions, body: Blob | string, type: string) =>
  upload('/api/segments/{slug}/import', { slug }, options, body, type);

export const uploadUsers = (options: ImportOptions, body: Blob | string, type: string) =>
  upload('/api/users/import', {}, options, body, type);

/** The media type of a file, by its name: browsers call CSV by several. */
export function typeOfFile(name: string): string {
  return /\.(ndjson|jsonl|json)$/i.test(name) ? 'application/x-ndjson' : 'text/csv';
}
