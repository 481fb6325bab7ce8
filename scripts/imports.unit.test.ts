import { describe, expect, it } from 'vitest';
import { RULES, type SourceFile, violationsIn } from './imports.ts';

const file = (path: string, ...imports: string[]): SourceFile => ({
  path,
  text: imports.map((one, i) => `import { x${i} } from '${one}';`).join('\n'),
});
const rulesBrokenBy = (...files: SourceFile[]) => violationsIn(files).map(({ rule }) => rule);

/** One for each way to break each rule. */
const PLANTED: [rule: RegExp, from: string, to: string][] = [
  [/door/, 'server/src/features/exports/exports.ts', '../memberships/read/explain.ts'],
  [/door/, 'server/src/features/exports/exports.ts', '../memberships/memberships.routes.ts'],
  [/door/, 'server/src/features/memberships/write/apply.sql.ts', '../../users/users.sql.ts'],
  [/pure core/, 'server/src/segmentation/decide.ts', '../postgres/database.ts'],
  [/pure core/, 'server/src/segmentation/conditions/parse.ts', '../../features/segments/segments.ts'],
  [/pure core/, 'server/src/segmentation/bucket.ts', '../config.ts'],
  [/pure core/, 'server/src/segmentation/bucket.ts', 'node:fs'],
  [/pure core/, 'server/src/segmentation/bucket.ts', 'pg'],
  [/composition root/, 'server/src/features/users/users.ts', '../../app.ts'],
  [/composition root/, 'server/src/features/users/users.ts', '../../process/serve.ts'],
  [/composition root/, 'server/src/http/metrics.ts', '../app.ts'],
  [/composition root/, 'server/src/jobs/worker.ts', '../background-jobs.ts'],
  [/^http/, 'server/src/http/route.ts', '../features/segments/segments.ts'],
  [/^http/, 'server/src/http/health.ts', '../postgres/database.ts'],
  [/^http/, 'server/src/http/connections/drain.ts', '../../jobs/queue.ts'],
  [/^postgres/, 'server/src/postgres/pool.ts', '../features/users/users.ts'],
  [/^postgres/, 'server/src/postgres/errors.ts', '../http/problems.ts'],
  [/^jobs/, 'server/src/jobs/worker.ts', '../features/imports/imports.ts'],
  [/^paging/, 'server/src/paging/cursors.ts', '../postgres/database.ts'],
  [/^concurrency/, 'server/src/concurrency/at-most.ts', '../http/caller.ts'],
  [/^concurrency/, 'server/src/concurrency/turns.ts', '../features/feeds/feeds.ts'],
  [/^sealing/, 'server/src/sealing/seal.ts', '../postgres/database.ts'],
  [/^sealing/, 'server/src/sealing/seal.ts', '../config.ts'],
  [/^sealing/, 'server/src/sealing/seal.ts', '@kohort/contract'],
  [/contract imports/, 'contract/src/users.ts', '../../server/src/config.ts'],
  [/contract imports/, 'contract/src/users.ts', '@kohort/server'],
  [/contract alone/, 'web/src/main.tsx', '@kohort/server'],
  [/contract alone/, 'web/src/api/call.ts', '../../../sdk/src/call.ts'],
  [/know neither features/, 'web/src/ui/rows.tsx', '../features/segments/list.tsx'],
  [/know neither features/, 'web/src/api/call.ts', '../session/session.tsx'],
  [/testkit/, 'server/src/main.ts', '@kohort/testkit/service.ts'],
  [/testkit/, 'sdk/src/client.ts', '../../testkit/ports.ts'],
  [/testkit/, 'embedded/start.ts', '../testkit/ports.ts'],
  [/judge/, 'server/src/segmentation/conditions/evaluate.ts', 'mingo'],
  [/judge/, 'server/src/features/imports/csv.ts', 'csv-parse/sync'],
];

describe('a planted violation', () => {
  it.each(PLANTED)('of %s: %s imports %s', (rule, from, to) => {
    expect(rulesBrokenBy(file(from, to))).toContainEqual(expect.stringMatching(rule));
  });

  it('is planted for each rule', () => {
    for (const { says } of RULES)
      expect(
        PLANTED.filter(([rule]) => rule.test(says)),
        says,
      ).not.toEqual([]);
  });

  it.each([
    "import type { X } from '../memberships/read/explain.ts';",
    "import {\n  one,\n  type Two,\n} from '../memberships/read/explain.ts';",
    "export { one } from '../memberships/read/explain.ts';",
    "export * from '../memberships/read/explain.ts';",
    "import '../memberships/read/explain.ts';",
    "const late = await import('../memberships/read/explain.ts');",
  ])('is found however it is written: %s', (text) => {
    expect(rulesBrokenBy({ path: 'server/src/features/exports/exports.ts', text })).toHaveLength(1);
  });
});

it.each([
  ['server/src/features/exports/exports.ts', '../memberships/memberships.ts'],
  ['server/src/features/idempotency/idempotency.ts', '../../sealing/seal.ts'],
  ['server/src/sealing/seal.ts', 'node:crypto'],
  ['server/src/process/serve.ts', '../app.ts'],
  ['server/src/features/memberships/read/at.ts', './at.sql.ts'],
  ['server/src/features/imports/imports.test.ts', '../fences/fences.sql.ts'],
  ['server/src/segmentation/decide.ts', '@kohort/contract'],
  ['server/src/segmentation/conditions/mingo.test.ts', 'mingo'],
  ['server/src/routes.ts', './features/users/users.routes.ts'],
  ['server/test/database.ts', '@kohort/testkit/database.ts'],
  ['faults/stage.ts', '../testkit/service.ts'],
])('what the rules allow: %s imports %s', (from, to) => {
  expect(rulesBrokenBy(file(from, to))).toEqual([]);
});
