import { compileDefinition, isActive } from '../../../segmentation/definition.ts';
import { noRule, type RuleFields } from '../../segments/segments.ts';
import { decidedUsers, draftId } from './decided-users.ts';
import { memberSql, nobody } from './member-rule.sql.ts';
import { inOneMoment } from './one-moment.ts';
import { countMatches, type SampleRow, sampleMatches, selectSample } from './preview.sql.ts';
import type { ReadContext } from './with-definitions.ts';

export interface Preview {
  readonly count: number;
  readonly total: number;
  readonly sample: readonly SampleRow[];
}

const sampleRows = 10;
/** The salt is the draft's own, since the saved segment draws another. */
const draft = { id: draftId, slug: 'preview', salt: 'preview', ...noRule };

/** Whom a rule would let in, before there is a segment of it. */
export function previewOf(context: ReadContext, rule: Partial<RuleFields>): Promise<Preview> {
  const definition = compileDefinition({ ...draft, ...rule });
  return inOneMoment(context, async (tx, definitions, now, until) => {
    const member = isActive(definition, now) ? memberSql(definitions, definition, now) : nobody;
    if (member) {
      const counted = await countMatches(tx, member);
      // Without any matches, looking for a sample would read every user again.
      return { ...counted, sample: counted.count === 0 ? [] : await sampleMatches(tx, member, sampleRows) };
    }
    let [count, total] = [0, 0];
    const shown: number[] = [];
    for await (const { members, of } of decidedUsers(tx, definitions, definition, { now, until })) {
      total += of;
      count += members.length;
      shown.push(...members.slice(0, sampleRows - shown.length));
    }
    return { count, total, sample: await selectSample(tx, shown) };
  });
}
