import { posix } from 'node:path';

/** A file of the repository, by its path from the root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  readonly imports: string;
  readonly rule: string;
}

interface Rule {
  /** Shown for a violation. */
  readonly says: string;
  readonly isBroken: (from: string, to: string) => boolean;
}

const STATEMENTS = [/\b(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/g, /\bimport\s*\(?\s*['"]([^'"]+)['"]/g];
const WORKSPACES = ['contract', 'embedded', 'sdk', 'server', 'testkit', 'web'];

const isTest = (path: string) => /\.test\.tsx?$/.test(path) || path.startsWith('server/test/');
const inRoom = (path: string, ...rooms: readonly string[]) => rooms.some((room) => path.startsWith(`${room}/`));
const featureOf = (path: string) => /^server\/src\/features\/([^/]+)\//.exec(path)?.[1];

/** A room of the server, and the rooms it must not know. */
const keepsOut = (room: string, says: string, ...others: readonly string[]): Rule => ({
  says,
  isBroken: (from, to) =>
    inRoom(from, `server/src/${room}`) && !isTest(from) && inRoom(to, ...others.map((other) => `server/src/${other}`)),
});

/** What the pure core may use besides the contract: a hash, linear-time patterns, and a template tag for SQL. */
const CORE_MAY_USE = ['node:crypto', 're2js', 'sql-template-tag'];

const COMPOSITION_ROOT = ['app', 'background-jobs', 'features', 'main', 'routes'].map(
  (name) => `server/src/${name}.ts`,
);

const BELOW_ROOT = ['concurrency', 'features', 'http', 'jobs', 'paging', 'postgres', 'sealing'].map(
  (room) => `server/src/${room}`,
);

export const RULES: readonly Rule[] = [
  {
    says: 'A feature reaches another only through its door: features/x/x.ts.',
    isBroken(from, to) {
      const [own, other] = [featureOf(from), featureOf(to)];
      if (own === undefined || other === undefined || own === other || isTest(from)) return false;
      return to !== `server/src/features/${other}/${other}.ts`;
    },
  },
  {
    says: 'segmentation/ is the pure core: it imports nothing but the contract.',
    isBroken: (from, to) =>
      inRoom(from, 'server/src/segmentation') &&
      !isTest(from) &&
      !inRoom(to, 'server/src/segmentation', 'contract') &&
      !CORE_MAY_USE.includes(to),
  },
  {
    says: 'Neither features nor the rooms below them know the composition root.',
    isBroken: (from, to) =>
      inRoom(from, ...BELOW_ROOT) &&
      !isTest(from) &&
      (inRoom(to, 'server/src/process') || COMPOSITION_ROOT.includes(to)),
  },
  keepsOut('http', 'http/ knows neither features nor the database.', 'features', 'postgres', 'jobs'),
  keepsOut('postgres', 'postgres/ knows neither features nor HTTP.', 'features', 'http', 'jobs'),
  keepsOut('jobs', 'jobs/ knows neither features nor HTTP.', 'features', 'http'),
  keepsOut(
    'paging',
    'paging/ knows neither features, HTTP, jobs nor the database.',
    'features',
    'http',
    'jobs',
    'postgres',
  ),
  keepsOut(
    'concurrency',
    'concurrency/ knows neither features, HTTP, jobs nor the database.',
    'features',
    'http',
    'jobs',
    'postgres',
  ),
  {
    says: 'sealing/ is pure: it imports nothing of ours.',
    isBroken: (from, to) =>
      inRoom(from, 'server/src/sealing') &&
      !isTest(from) &&
      (inRoom(to, ...WORKSPACES) || to.startsWith('server/')) &&
      !inRoom(to, 'server/src/sealing'),
  },
  {
    says: 'The contract imports nothing of ours.',
    isBroken: (from, to) => inRoom(from, 'contract/src') && inRoom(to, 'embedded', 'sdk', 'server', 'testkit', 'web'),
  },
  {
    says: 'The console knows the service by its contract alone.',
    isBroken: (from, to) => inRoom(from, 'web/src') && inRoom(to, 'embedded', 'sdk', 'server', 'testkit'),
  },
  {
    says: 'api/, i18n/, theme/ and ui/ of the console know neither features nor who is signed in.',
    isBroken: (from, to) =>
      inRoom(from, 'web/src/api', 'web/src/i18n', 'web/src/theme', 'web/src/ui') &&
      !isTest(from) &&
      (inRoom(to, 'web/src/features', 'web/src/session', 'web/src/shell') || to === 'web/src/router.tsx'),
  },
  {
    says: 'testkit/ is for tests, bench and faults alone.',
    isBroken: (from, to) =>
      inRoom(to, 'testkit') &&
      !isTest(from) &&
      !inRoom(from, 'testkit', 'bench', 'faults', 'acceptance') &&
      from !== 'vitest.config.ts',
  },
  {
    says: 'mingo and csv-parse judge us in tests, and do nothing else.',
    isBroken: (from, to) => /^(?:mingo|csv-parse)(?:\/|$)/.test(to) && !isTest(from),
  },
];

/** What a file imports: paths from the root for what is ours, names for packages. */
function importsOf({ path, text }: SourceFile): string[] {
  const specifiers = STATEMENTS.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, specifier = '']) => specifier),
  );
  return [...new Set(specifiers)].map((specifier) => {
    if (specifier.startsWith('.')) return posix.normalize(posix.join(posix.dirname(path), specifier));
    const [scope, workspace = '', ...rest] = specifier.split('/');
    return scope === '@kohort' && WORKSPACES.includes(workspace) ? posix.join(workspace, ...rest, '.') : specifier;
  });
}

export function violationsIn(files: Iterable<SourceFile>): Violation[] {
  const found: Violation[] = [];
  for (const file of files) {
    for (const to of importsOf(file)) {
      const target = to.endsWith('/') || !WORKSPACES.includes(to) ? to : `${to}/`;
      for (const { says, isBroken } of RULES) {
        if (isBroken(file.path, target)) found.push({ path: file.path, imports: to, rule: says });
      }
    }
  }
  return found;
}
