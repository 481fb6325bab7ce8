import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createCitusTemplates, findCluster, withoutCitus } from './citus.ts';
import { connected, dropOnEachNode, onEachNode } from './nodes.ts';

const url = process.env.TEST_CITUS_URL ?? '';

describe('the Citus that TEST_CITUS_URL names', () => {
  it.for([false, true])(
    'has templates whose copies are distributed (filled: %j)',
    async (filled, { skip, onTestFinished }) => {
      skip(url === '', withoutCitus);
      const cluster = await findCluster(url);
      const name = `test_${randomBytes(8).toString('hex')}`;
      const templates = await createCitusTemplates(cluster, { name, filled });
      onTestFinished(templates.drop);
      await onEachNode(cluster.urls, `CREATE DATABASE ${name} TEMPLATE ${templates.distributed}`);
      onTestFinished(() => dropOnEachNode(cluster.urls, name));
      const copy = new URL(url);
      copy.pathname = `/${name}`;
      const [placed, written] = await connected(copy.href, async (client) => [
        await client.query("SELECT DISTINCT nodeport FROM citus_shards WHERE table_name = 'users'::regclass"),
        await client.query(
          "WITH one AS (INSERT INTO users (external_id) VALUES ('U') RETURNING id) SELECT id::int FROM one",
        ),
      ]);
      expect(placed?.rowCount).toBe(cluster.workers.length);
      expect(written?.rows).toEqual([{ id: 1 }]);
    },
  );
});
