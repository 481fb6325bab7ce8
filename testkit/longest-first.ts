import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Vitest knows how long a file takes only from an earlier run, which a new checkout has not had. */
export const LONGEST = [
  'acceptance/console/console.test.ts',
  'faults/greedy.test.ts',
  'acceptance/workers.test.ts',
  'sdk/src/cli/kohort.process.test.ts',
  'server/src/features/memberships/read/consistency.test.ts',
  'server/test/fuzz.test.ts',
];

const groupOf = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
  return rank === -1 ? LONGEST.length : rank;
}

/**
 * Begins with the project that has the longest files, and each project with its own: a long file that begins late goes on when all
 * others are done, with a processor idle. The files of a project stay together, since they may share processes.
 */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const projects = [...new Set(['process', ...sorted.map(({ project }) => project.name)])];
    const placeOf = ({ project }: TestSpecification) => projects.indexOf(project.name);
    return sorted.sort((a, b) => groupOf(a) - groupOf(b) || placeOf(a) - placeOf(b) || rankOf(a) - rankOf(b));
  }
}
