import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import { console as contract, Problem } from '@kohort/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * React Aria writes one inline `<style>` (`touch-action` for pressable elements). Its hash is pinned, so that no other
 * inline style is accepted; a test computes it from the installed package.
 */
export const ariaStyleHash = 'sha256-38RhXrc7EdReTKsOm23ZPOCUgniTUUcjky8QOOrQx6o=';

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  `style-src 'self' '${ariaStyleHash}'`,
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const pageHeaders = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // The page refers to its assets by hash, so a new build takes effect at once.
  'cache-control': 'no-cache',
};

/**
 * Serves the console that was built into `folder` below `/ui/`. All addresses of the console (`/ui/segments/A`) return the
 * same page.
 */
export async function answerConsole(app: FastifyInstance, folder: string, pathPrefix: string): Promise<void> {
  const page = await readFile(join(folder, 'index.html'), 'utf8').catch(() => undefined);
  // All addresses on the page are relative to this base, so it carries the prefix.
  const html = page?.replace('<base href="/ui/"', `<base href="${pathPrefix}/ui/"`);

  // Below /ui/, but a call and no page: with another method it is 405.
  app.get(contract.openSession.path, async (_request, reply) => reply.callNotFound());
  app.get('/ui', async (_request, reply) => reply.redirect(`${pathPrefix}/ui/`, 308));

  async function sendPage(_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (html === undefined) {
      throw new Problem('route_unknown', 'The console is not built. Run: npm run build --workspace web');
    }
    return reply.headers(pageHeaders).type('text/html; charset=utf-8').send(html);
  }

  if (html === undefined) {
    app.get('/ui/*', sendPage);
    return;
  }
  await app.register(fastifyStatic, {
    root: folder,
    prefix: '/ui/',
    index: false,
    decorateReply: false,
    // One route per file; everything else below /ui/ is the page.
    wildcard: false,
    globIgnore: ['index.html', '**/*.br', '**/*.gz'],
    // The build writes each script and style sheet in these forms too.
    preCompressed: true,
    cacheControl: false,
    setHeaders(reply, path) {
      reply.header('x-content-type-options', 'nosniff');
      reply.header('vary', 'accept-encoding');
      const isHashed = path.startsWith(join(folder, 'assets'));
      reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
  app.get('/ui/assets/*', async (_request, reply) => reply.callNotFound());
  app.get('/ui/*', sendPage);
}
