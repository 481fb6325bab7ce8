import { readsClock } from '../../segmentation/conditions/references.ts';
import { type Definition, type Definitions, inOrder, isList, isPlainList } from '../../segmentation/definition.ts';
import { type LookAhead, lookAheadOf } from '../../segmentation/next-moment.ts';

/** A followed segment that more than its own overrides decides about. */
export interface FollowedRule {
  readonly definition: Definition;
  /** The segment and all that its condition names, directly or not. */
  readonly involved: ReadonlySet<number>;
  readonly lookAhead: LookAhead;
  /** Whether it decides by who a user is, not by overrides alone. */
  readonly readsUsers: boolean;
  /** Whether time moves users other than by starts, ends and the expiry of overrides. */
  readonly readsClock: boolean;
  /** The starts and ends of all that is involved, in order. */
  readonly bounds: readonly number[];
}

/** The followed segments that have a rule, under one state of the definitions. */
export interface FollowedRules {
  readonly definitions: Definitions;
  readonly byId: ReadonlyMap<number, FollowedRule>;
}

export function followedRule(definitions: Definitions, definition: Definition): FollowedRule {
  const involved = inOrder(definitions.byId, [definition]);
  const bounds = involved.flatMap(({ activeFrom, activeUntil }) => [activeFrom, activeUntil]).filter(Number.isFinite);
  return {
    definition,
    involved: new Set(involved.map(({ id }) => id)),
    lookAhead: lookAheadOf(definitions, definition),
    readsUsers: involved.some((one) => !isList(one)),
    readsClock: involved.some(
      ({ share, condition }) => share?.kind === 'ramp' || (condition !== null && readsClock(condition)),
    ),
    bounds: [...new Set(bounds)].sort((a, b) => a - b),
  };
}

export function followedRules(definitions: Definitions, followed: readonly number[]): FollowedRules {
  const rules = followed.flatMap((id) => {
    const definition = definitions.byId.get(id);
    // In a plain list overrides alone decide: what is recorded of them says who is in.
    return definition && !isPlainList(definition) ? [followedRule(definitions, definition)] : [];
  });
  return { definitions, byId: new Map(rules.map((rule) => [rule.definition.id, rule])) };
}

/** The first start or end after a moment; infinite for none. */
export function nextBound({ bounds }: FollowedRule, after: number): number {
  return bounds.find((bound) => bound > after) ?? Number.POSITIVE_INFINITY;
}

/** Of the starts and ends that came after one moment and not after another, the last. */
export function lastBound({ bounds }: FollowedRule, after: number, until: number): number | undefined {
  return bounds.findLast((bound) => after < bound && bound <= until);
}
