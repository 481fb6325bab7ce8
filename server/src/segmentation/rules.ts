import { firstWordOf } from './bucket.ts';
import type { Evaluate } from './conditions/evaluate.ts';
import { type Definition, isAlwaysActive } from './definition.ts';
import { type Membership, ruleSource } from './membership.ts';
import { fitsLane, maxSalts, SaltedWords } from './salted-words.ts';

/**
 * A definition that is no list, with all that deciding about it would otherwise find out for each user. What it decides is the same.
 */
export interface Rule {
  readonly definition: Definition;
  /** Of those whom it lets in: one object for all of them. */
  readonly membership: Membership;
  readonly evaluate: Evaluate | null;
  readonly hasShare: boolean;
  readonly hasPatterns: boolean;
  readonly isAlwaysActive: boolean;
  /** Whether a condition names it. */
  readonly isNamed: boolean;
}

export function ruleOf(definition: Definition, named: ReadonlySet<number>): Rule {
  return {
    definition,
    membership: { definition, source: ruleSource(definition) },
    evaluate: definition.evaluate,
    hasShare: definition.share !== null,
    hasPatterns: definition.patterns.length > 0,
    isAlwaysActive: isAlwaysActive(definition),
    isNamed: named.has(definition.id),
  };
}

/** Shares that go by the key of the user alone, so that their digests are computed together. */
export interface CommonShares {
  readonly words: SaltedWords;
  /** Where the word of a definition stands, by its id. */
  readonly placeOf: ReadonlyMap<number, number>;
  /** Those among them that never change by time. */
  readonly fixed: readonly FixedShare[];
  /** All other rules, in their order. */
  readonly others: readonly Rule[];
}

/** Takes the users whose words are from `from` up to, but without, `to`. */
export interface FixedShare {
  readonly rule: Rule;
  readonly place: number;
  readonly from: number;
  readonly to: number;
}

/** Fewer digests are computed one by one in less time. */
const minCommonSalts = 8;

export function commonShares(rules: readonly Rule[]): CommonShares | undefined {
  const placeOfSalt = new Map<string, number>();
  const placeOf = new Map<number, number>();
  for (const { definition } of rules) {
    const { id, share, condition, bucketBy } = definition;
    if (share === null || condition !== null || bucketBy !== null || !fitsLane(share.salt)) continue;
    const place = placeOfSalt.get(share.salt) ?? placeOfSalt.size;
    if (place === maxSalts) continue;
    placeOfSalt.set(share.salt, place);
    placeOf.set(id, place);
  }
  if (placeOfSalt.size < minCommonSalts) return undefined;
  const fixed = rules.flatMap((rule) => fixedShare(rule, placeOf.get(rule.definition.id)) ?? []);
  const areFixed = new Set(fixed.map(({ rule }) => rule));
  return {
    words: new SaltedWords([...placeOfSalt.keys()]),
    placeOf,
    fixed,
    others: rules.filter((rule) => !areFixed.has(rule)),
  };
}

function fixedShare(rule: Rule, place: number | undefined): FixedShare | undefined {
  const { share } = rule.definition;
  if (place === undefined || share === null || share.kind === 'ramp' || !rule.isAlwaysActive) return undefined;
  const { from, to } = share.kind === 'layer' ? share : { from: 0, to: share.percentage };
  return { rule, place, from: firstWordOf(from), to: firstWordOf(to) };
}
