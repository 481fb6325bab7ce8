import { addressOf } from '../../api/call.ts';
import { type UploadOptions, upload } from '../../api/upload.ts';

export type ImportMode = 'add' | 'remove' | 'replace';
export type Unknown = 'create' | 'reject' | 'skip';

export interface ImportOptions {
  readonly mode?: ImportMode;
  readonly unknown?: Unknown;
  readonly dry_run?: 'true' | undefined;
  readonly expires_at?: string | undefined;
  /** Confirms that a file without rows empties the segment. */
  readonly confirm?: 'empty' | undefined;
}

export const uploadMembers = (slug: string, query: ImportOptions, body: Blob | string, options: UploadOptions) =>
  upload(addressOf('/api/segments/{slug}/import', { params: { slug }, query: { ...query } }), body, options);

export const uploadUsers = (query: ImportOptions, body: Blob | string, options: UploadOptions) =>
  upload(addressOf('/api/users/import', { query: { ...query } }), body, options);

/** The media type of a file, by its name: browsers report several types for CSV. */
export function typeOfFile(name: string): string {
  return /\.(ndjson|jsonl|json)$/i.test(name) ? 'application/x-ndjson' : 'text/csv';
}
