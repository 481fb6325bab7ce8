import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { Marked, type Tokens } from 'marked';
import { wantsPage } from './accept.ts';

/** The folder of the guides, in Markdown; some installations omit it. */
const GUIDES = join(import.meta.dirname, '../../../docs');

// Every address is relative, so the pages work below any prefix that a proxy adds.
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kohort API</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="docs"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;

const START = `SwaggerUIBundle({ url: 'openapi.json', dom_id: '#docs', deepLinking: true, tryItOutEnabled: true, validatorUrl: null });
`;

const GUIDE_STYLE = `body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark }
pre { padding: 0.75rem; overflow-x: auto; border: 1px solid }
table { border-collapse: collapse }
th, td { padding: 0.25rem 0.75rem; border: 1px solid; text-align: left; vertical-align: top }
`;

// The page loads everything from this service; the policy enforces that.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const GUIDE_POLICY =
  "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Renders Markdown. Links out of the folder become plain text, because nothing outside it is served. */
function rendererFor(names: ReadonlySet<string>): (markdown: string) => string {
  const marked = new Marked({
    async: false,
    renderer: {
      link({ href, tokens }: Tokens.Link) {
        const text = this.parser.parseInline(tokens);
        const [file = ''] = href.split('#');
        const isServed = /^(?:https?:|#)/.test(href) || names.has(file);
        return isServed ? `<a href="${href.replaceAll('"', '&quot;')}">${text}</a>` : text;
      },
    },
  });
  return (markdown) => marked.parse(markdown, { async: false });
}

function guidePage(markdown: string, render: (markdown: string) => string): string {
  const title = /^# (.+)$/m.exec(markdown)?.[1] ?? 'Kohort';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="stylesheet" href="guide.css">
<link rel="icon" href="data:,">
</head>
<body>
<p><a href="../docs">All calls</a></p>
${render(markdown)}</body>
</html>
`;
}

async function guides(): Promise<ReadonlyMap<string, string>> {
  const found = await readdir(GUIDES).catch(() => []);
  const names = found.filter((name) => name.endsWith('.md'));
  const render = rendererFor(new Set(names));
  const pages = names.map(async (name) => {
    const markdown = await readFile(join(GUIDES, name), 'utf8');
    return [name, guidePage(markdown, render)] as const;
  });
  return new Map(await Promise.all(pages));
}

async function answerGuides(app: FastifyInstance): Promise<void> {
  for (const [name, page] of await guides()) {
    app.get(`/docs/${name}`, async (_request, reply) =>
      reply.type('text/html; charset=utf-8').header('content-security-policy', GUIDE_POLICY).send(page),
    );
  }
  app.get('/docs/guide.css', async (_request, reply) => reply.type('text/css; charset=utf-8').send(GUIDE_STYLE));
}

const INDEX = {
  name: 'Kohort',
  documentation: 'docs',
  openapi: 'openapi.json',
  alive: 'healthz',
  ready: 'readyz',
  metrics: 'metrics',
};

/** `/` lists the pages, or redirects a browser to the console; `/docs` renders `/openapi.json`, with the guides below it. */
export async function answerDocs(app: FastifyInstance, document: object): Promise<void> {
  await app.register(async (scope) => {
    scope.addHook('onRequest', async (_request, reply) => void reply.header('x-content-type-options', 'nosniff'));
    await answerPages(scope, document);
  });
}

async function answerPages(app: FastifyInstance, document: object): Promise<void> {
  // All answers share these bytes, so a client that does not read does not cost a copy.
  const bytes = Buffer.from(JSON.stringify(document));
  app.get('/', async (request, reply) => {
    reply.header('vary', 'accept');
    return wantsPage(request) ? reply.redirect(`${app.publicUrl?.pathPrefix ?? ''}/ui/`, 302) : reply.send(INDEX);
  });
  app.get('/openapi.json', async (_request, reply) => reply.type('application/json; charset=utf-8').send(bytes));
  app.get('/docs', async (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('content-security-policy', POLICY).send(PAGE),
  );
  app.get('/docs/', async (_request, reply) => reply.redirect('../docs', 308));
  app.get('/docs/start.js', async (_request, reply) => reply.type('text/javascript; charset=utf-8').send(START));
  await answerGuides(app);
  await app.register(fastifyStatic, {
    root: dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json')),
    prefix: '/docs/assets/',
    allowedPath: (path) => /^\/?(?:swagger-ui\.css|swagger-ui-bundle\.js)$/.test(path),
    decorateReply: false,
    cacheControl: true,
    maxAge: '1d',
  });
}
