import { eventually } from '@kohort/testkit/eventually.ts';
import { fieldOf } from '@kohort/testkit/http.ts';
import { open } from '@kohort/testkit/wire.ts';
import { describe, expect, it } from 'vitest';
import { button, countOf, says, world } from './world.ts';

/** A file that has begun to arrive, and goes on for as long as one likes: empty lines keep the service from giving it up. */
async function beginUpload(slug: string) {
  const made = await world.api('POST', '/api/keys', { name: 'uploads', role: 'editor' });
  const key = String(fieldOf(made, 'key'));
  const wire = await open(Number(new URL(world.service.url).port));
  wire.write(
    `POST /api/segments/${slug}/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
      'Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  const send = (text: string) => wire.write(`${text.length.toString(16)}\r\n${text}\r\n`);
  send('external_id\n');
  const emptyLines = setInterval(send, 1_000, '\n');
  const end = () => {
    clearInterval(emptyLines);
    wire.write('0\r\n\r\n');
  };
  const close = async () => {
    clearInterval(emptyLines);
    wire.socket.destroy();
    await world.api('DELETE', `/api/keys/${fieldOf(made, 'id')}`);
  };
  return { send, end, close };
}

describe('jobs', () => {
  it('are listed as they run, whoever started them, and cancelled', async () => {
    const page = await world.open('/jobs?kind=segment_import');
    const upload = await beginUpload('LIST');
    const row = page.getByRole('row').filter({ hasText: 'Receiving' });
    await row.getByRole('link', { name: 'LIST' }).waitFor();
    await row.getByRole('button', { name: /Cancel job/ }).click();
    await page.getByRole('row').filter({ hasText: 'Cancelled' }).first().waitFor();
    await upload.close();
  });

  it('are followed on a page of their own, and taken back there', async () => {
    const before = await countOf('LIST');
    const upload = await beginUpload('LIST');
    const page = await world.open('/jobs');
    await page
      .getByRole('row')
      .filter({ hasText: 'Receiving' })
      .getByRole('link', { name: 'Upload to a segment' })
      .click();
    await page.getByRole('heading', { name: /^Job \d+$/ }).waitFor();
    await says(page, 'Receiving');
    upload.send('shopper-40\nshopper-41\n');
    upload.end();
    await says(page, 'Done');
    expect(await countOf('LIST')).toBe(before + 2);
    await button(page, 'Undo').click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Undo' }).click();
    await says(page, 'Undo of an upload to a segment');
    await eventually(async () => (await countOf('LIST')) === before);
    await upload.close();
  });

  it('are filtered at an address, which says when there is none', async () => {
    const page = await world.open('/jobs');
    await page.getByRole('button', { name: /State/ }).click();
    await page.getByRole('option', { name: 'Failed' }).click();
    await page.waitForURL(/state=failed/);
    await page.getByRole('row').getByText('Failed').first().waitFor();
    await page.goto('/ui/jobs?state=failed&kind=user_import');
    await says(page, 'No jobs found');
  });
});
