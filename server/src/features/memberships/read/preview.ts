import { compileDefinition, isActive } from '../../../segmentation/definition.ts';
import { noRule, type RuleFields } from '../../segments/segments.ts';
import { decidedUsers, draftId } from './decided-users.ts';
import { memberSql, noMembers } from './member-rule.sql.ts';
import { keepSnapshots } from './one-moment.sql.ts';
import { inOneMoment } from './one-moment.ts';
import { byId, countMatches, type SampleRow, sampleMatches, selectSample } from './preview.sql.ts';
import { slicesOf } from './slices.ts';
import type { ReadContext } from './with-definitions.ts';

export interface Preview {
  readonly count: number;
  readonly total: number;
  readonly sample: readonly SampleRow[];
}

const sampleRows = 10;
/** The salt belongs to the draft; the stored segment draws another one. */
const draft = { id: draftId, slug: 'preview', salt: 'preview', ...noRule };

/** The users whom a rule would let in, before a segment with it exists. */
export function previewOf(context: ReadContext, rule: Partial<RuleFields>): Promise<Preview> {
  const definition = compileDefinition({ ...draft, ...rule });
  return inOneMoment(context, async (tx, definitions, moment) => {
    const { now } = moment;
    await keepSnapshots(tx);
    const asked = { now, isDistributed: tx.isDistributed };
    const member = isActive(definition, now) ? memberSql(definitions, definition, asked) : noMembers;
    let [count, total] = [0, 0];
    if (member) {
      const sample: SampleRow[] = [];
      for await (const slice of slicesOf(tx, moment)) {
        const counted = await countMatches(tx, member, slice);
        [count, total] = [count + counted.count, total + counted.total];
        const limit = sampleRows - sample.length;
        // Without matches, the search for a sample would read every user again.
        if (counted.count > 0 && limit > 0) sample.push(...(await sampleMatches(tx, member, { ...slice, limit })));
      }
      return { count, total, sample: byId(sample) };
    }
    const shown: number[] = [];
    for await (const { members, of } of decidedUsers(tx, definitions, definition, moment)) {
      total += of;
      count += members.length;
      shown.push(...members.slice(0, sampleRows - shown.length));
    }
    return { count, total, sample: await selectSample(tx, shown) };
  });
}
