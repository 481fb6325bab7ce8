import { randomBytes } from 'node:crypto';
import type { TestProject } from 'vitest/node';
import { createCitusTemplates, findCluster } from './citus.ts';

/** The Citus that TEST_CITUS_URL names. Each test file gets copies of a distributed database on all of its nodes. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await findCluster(process.env.TEST_CITUS_URL ?? '');
  // Several runs may share a Citus.
  const name = `test_${randomBytes(8).toString('hex')}`;
  const templates = await createCitusTemplates(cluster, { name, filled: project.name === 'citus-filled' });
  project.provide('postgresUrl', cluster.urls[0] ?? '');
  project.provide('nodeUrls', [...cluster.urls]);
  project.provide('templates', { migrated: templates.distributed, empty: templates.empty });
  project.provide('poolerPort', 0);
  return () => templates.drop();
}
