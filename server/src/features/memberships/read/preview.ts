import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import { compileDefinition } from '../../../segmentation/definition.ts';
import { decidedUsers, draftId } from './decided-users.ts';
import { memberSql } from './member-rule.sql.ts';
import { inOneMoment } from './one-moment.ts';
import { countMatches, type SampleRow, sampleMatches, selectSample } from './preview.sql.ts';
import type { ReadContext } from './with-definitions.ts';

export interface Preview {
  readonly count: number;
  readonly total: number;
  readonly sample: readonly SampleRow[];
}

export interface Rule {
  readonly percentage: number | null;
  readonly condition: JsonObject | null;
}

const sampleRows = 10;
/** The salt is the draft's own, since the saved segment draws another. */
const draft = { id: draftId, slug: 'preview', salt: 'preview' };

/** Whom a rule would let in, before there is a segment of it. */
export function previewOf(context: ReadContext, rule: Rule): Promise<Preview> {
  const definition = compileDefinition({ ...draft, ...rule });
  return inOneMoment(context, async (tx, definitions) => {
    const member = memberSql(definitions, definition);
    if (member) {
      const counted = await countMatches(tx, member);
      // Where nobody matches, looking for a sample would read every user again.
      return { ...counted, sample: counted.count === 0 ? [] : await sampleMatches(tx, member, sampleRows) };
    }
    let [count, total] = [0, 0];
    const shown: number[] = [];
    for await (const { members, of } of decidedUsers(tx, definitions, definition, { bounded: true })) {
      total += of;
      count += members.length;
      shown.push(...members.slice(0, sampleRows - shown.length));
    }
    return { count, total, sample: await selectSample(tx, shown) };
  });
}
