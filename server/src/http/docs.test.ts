import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../test/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const HTML = { accept: 'text/html' };

async function follow(path: string, headers: Record<string, string> = {}) {
  const answer = await service.call('GET', path, { headers });
  const { location } = answer.headers;
  if (location === undefined) return { path, ...answer };
  const target = new URL(String(location), `http://x${path}`).pathname;
  return { path: target, ...(await service.call('GET', target, { headers })) };
}

/** Where the links of a text lead to, seen from the page at `path`. */
function linksOf(text: string, pattern: RegExp, path: string): string[] {
  return [...text.matchAll(pattern)]
    .map(([, href = '']) => new URL(href, `http://x${path}`))
    .filter(({ host }) => host === 'x')
    .map(({ pathname }) => pathname);
}

describe('the way to the documentation', () => {
  it('begins at /', async () => {
    const { body } = await service.call('GET', '/');
    expect(Object.keys(body)).toEqual(['name', 'documentation', 'openapi', 'alive', 'ready', 'metrics']);
    for (const path of Object.values(body).slice(1))
      expect([path, (await service.call('GET', `/${path}`)).status]).toEqual([path, 200]);
    expect((await service.call('GET', '/', { headers: HTML })).headers.location).toBe('/ui/');
  });

  it('takes /docs/ for /docs', async () => {
    expect(await follow('/docs/')).toMatchObject({ path: '/docs', status: 200 });
  });

  it('loads only what is there, at addresses that a prefix does not break', async () => {
    const { text } = await service.call('GET', '/docs');
    const assets = [...text.matchAll(/(?:src|href)="(?!data:)([^"]+)"/g)].map(([, href]) => href ?? '');
    expect(assets).toHaveLength(3);
    for (const asset of assets) {
      expect(asset).not.toMatch(/^\/|:/);
      expect([asset, (await service.call('GET', `/${asset}`)).status]).toEqual([asset, 200]);
    }
  });
});

describe('links lead somewhere', () => {
  it('in the OpenAPI document and in the guides', async () => {
    const { text } = await service.call('GET', '/openapi.json');
    const guides = new Set(linksOf(text, /\]\(([^)\s]+)\)/g, '/docs'));
    expect([...guides]).toEqual(expect.arrayContaining(['/docs/conditions.md', '/docs/percentage.md']));
    // Those are plain names of files, which lead nowhere.
    expect(text).not.toMatch(/(?<!\()docs\/\w+\.md/);
    for (const path of guides) {
      const page = await service.call('GET', path);
      expect([path, page.status]).toEqual([path, 200]);
      if (!String(page.headers['content-type']).startsWith('text/html')) continue;
      for (const one of linksOf(page.text, /(?:src|href)="(?!data:)([^"]+)"/g, path)) guides.add(one);
    }
    expect([...guides]).toContain('/docs/guide.css');
  });
});

describe('the OpenAPI document', () => {
  it('begins with what a newcomer needs', async () => {
    const { body } = await service.call('GET', '/openapi.json');
    expect(body.tags.slice(0, 2).map(({ name }: { name: string }) => name)).toEqual(['auth', 'segments']);
    expect(Object.keys(body.paths).slice(0, 2)).toEqual(['/auth/sign-in', '/auth/sign-up']);
    expect(body.info.description).toContain('/auth/sign-in');
  });

  it('names the schemas that clients need', async () => {
    const { body } = await service.call('GET', '/openapi.json');
    expect(Object.keys(body.components.schemas)).toEqual(
      expect.arrayContaining(['Account', 'Job', 'Key', 'Member', 'Membership', 'Problem', 'Segment', 'User']),
    );
    const answer = body.paths['/api/segments'].get.responses['200'].content['application/json'];
    expect(answer.schema).toEqual({ $ref: '#/components/schemas/SegmentPage' });
    expect(body.components.schemas.SegmentPage.properties.segments.items).toEqual({
      $ref: '#/components/schemas/Segment',
    });
  });

  it('describes each parameter where tools look, and declares none that HTTP itself has', async () => {
    const { body } = await service.call('GET', '/openapi.json');
    for (const [path, methods] of Object.entries<
      Record<string, { parameters: { name: string; description: string }[] }>
    >(body.paths))
      for (const { parameters } of Object.values(methods))
        for (const { name, description } of parameters) {
          expect([path, name, description]).toEqual([path, name, expect.stringMatching(/\S/)]);
          expect(['accept', 'content-type', 'authorization']).not.toContain(name.toLowerCase());
        }
  });
});
