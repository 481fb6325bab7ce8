import { readsClock } from '../../segmentation/conditions/references.ts';
import { type Definition, isList, isPlainList } from '../../segmentation/definition.ts';
import { type Definitions, inOrder } from '../../segmentation/definitions.ts';
import { type LookAhead, lookAheadOf } from '../../segmentation/next-moment.ts';

/** A followed segment whose members are not decided by its own overrides alone. */
export interface FollowedRule {
  readonly definition: Definition;
  /** The segment and all that its condition names, directly or indirectly. */
  readonly involved: ReadonlySet<number>;
  readonly lookAhead: LookAhead;
  /** Whether it depends on the user, not on overrides alone. */
  readonly readsUsers: boolean;
  /** Whether time moves users other than by starts, ends and the expiry of overrides. */
  readonly readsClock: boolean;
  /** The starts and ends of all involved segments, in order. */
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
    // In a plain list overrides alone decide, and their events carry the result.
    return definition && !isPlainList(definition) ? [followedRule(definitions, definition)] : [];
  });
  return { definitions, byId: new Map(rules.map((rule) => [rule.definition.id, rule])) };
}

/** The first start or end after a moment; infinity if there is none. */
export function nextBound({ bounds }: FollowedRule, after: number): number {
  return bounds.find((bound) => bound > after) ?? Number.POSITIVE_INFINITY;
}

/** The last start or end after one moment, up to and including another. */
export function lastBound({ bounds }: FollowedRule, after: number, until: number): number | undefined {
  return bounds.findLast((bound) => after < bound && bound <= until);
}
