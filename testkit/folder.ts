import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reap } from './reaper.ts';

/** A new folder for a test, which removes it; if the test process is killed, the reaper does. */
export async function temporaryFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `kohort-${name}-`));
  reap({ folder });
  return folder;
}
