import { Turns } from '../../concurrency/turns.ts';
import type { Tx } from '../../postgres/database.ts';
import type { Definitions } from '../../segmentation/definition.ts';
import { type FeedEvent, selectWaiting, takeEvents } from '../outbox/outbox.ts';
import { tellBulkOfLists } from './bulk.sql.ts';
import { standingsAfter } from './derive.ts';
import { deriveFromTime } from './derive-rules.ts';
import { replaceDue, takeDue } from './due.sql.ts';
import { fillSlice } from './fill.ts';
import { forgetSlice, moveSlice, tellDefinition } from './following.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { insertRechecks } from './rechecks.sql.ts';
import { dependentsOf, recheckNext, seeToBounds } from './rechecks.ts';
import { type FollowedRules, followedRules } from './rules.ts';
import { tell } from './tell.ts';
import { beginTurn, selectTurnState, type TurnState } from './told.sql.ts';

/**
 * What a turn did: nothing, since there is nothing or another instance has the turn; or something, and there may be more. Or
 * nothing so far, since the definitions have a revision that is not in memory.
 */
export type Turn = 'idle' | { readonly told: number } | { readonly revision: number };

/** The followed rules under one state of the definitions, remembered from turn to turn. */
export class RulesInMemory {
  #of = '';
  #rules: FollowedRules | undefined;

  /** Single events were told last: however many of those come, time and larger work go on in between. */
  isTurnOfOthers = false;
  /** Whether anything was followed when it was asked last. */
  isAny = false;

  at(definitions: Definitions, { followed }: TurnState): FollowedRules {
    const of = `${definitions.revision} ${followed.map(({ id }) => id).join()}`;
    if (this.#rules?.definitions !== definitions || of !== this.#of) {
      this.#of = of;
      this.#rules = followedRules(
        definitions,
        followed.map(({ id }) => id),
      );
    }
    return this.#rules;
  }
}

/** Few enough for any number of rules, enough to keep up. */
const minEvents = 20;

/**
 * One turn of telling, on one snapshot: so the state that users are looked at in is the one that the events lead to. Events come
 * first: a single change does not wait for more than one slice of a large piece of work.
 */
export async function takeTurn(
  tx: Tx,
  definitions: Definitions,
  memory: RulesInMemory,
  sizes: TurnSizes,
): Promise<Turn> {
  const state = await selectTurnState(tx);
  if (!state.is_ours) return 'idle';
  memory.isAny = state.followed.length > 0;
  if (state.followed.length === 0 && !state.has_events && !state.has_bulk_events && !state.has_unfollowed)
    return 'idle';
  if (state.revision !== definitions.revision) return { revision: state.revision };
  const moment: Moment = { rules: memory.at(definitions, state), now: state.now, turns: new Turns() };
  // A rename is told before anything that is told under the new slug.
  if (memory.isTurnOfOthers && !state.has_definitions) {
    memory.isTurnOfOthers = false;
    const turn = await takeOther(tx, moment, state, sizes);
    if (turn !== 'idle') return turn;
  }
  if (state.has_events) {
    memory.isTurnOfOthers = true;
    return {
      told: await tellEvents(tx, moment, state, { bulk: false, limit: boundOf(moment, sizes.eventsAtOnce, sizes) }),
    };
  }
  return takeOther(tx, moment, state, sizes);
}

/** What time has brought about, else a slice of something large. */
async function takeOther(tx: Tx, moment: Moment, state: TurnState, sizes: TurnSizes): Promise<Turn> {
  if (state.has_due) return { told: await tellDue(tx, moment, sizes.eventsAtOnce) };
  if (await seeToBounds(tx, moment, state.followed)) return { told: 0 };
  return takeSlice(tx, moment, state, sizes);
}

/** Some of the first large piece of work that there is. */
async function takeSlice(tx: Tx, moment: Moment, state: TurnState, sizes: TurnSizes): Promise<Turn> {
  if (state.has_unfilled && (await fillSlice(tx, moment, sizes))) return { told: 0 };
  if (state.has_bulk_events) return { told: await tellBulk(tx, moment, state, sizes) };
  const told = state.has_rechecks ? await recheckNext(tx, moment, sizes) : undefined;
  if (told !== undefined) return { told };
  if (!state.has_moves && !state.has_unfollowed) return 'idle';
  await beginTurn(tx);
  const { sliceRows } = sizes;
  const moved = state.has_moves ? await moveSlice(tx, sliceRows) : undefined;
  if (moved !== undefined) return { told: moved };
  return (await forgetSlice(tx, sliceRows)) ? { told: 0 } : 'idle';
}

async function tellBulk(tx: Tx, moment: Moment, state: TurnState, sizes: TurnSizes): Promise<number> {
  await beginTurn(tx);
  const named = new Set([...moment.rules.byId.values()].flatMap(({ involved }) => [...involved]));
  const lists = state.followed.map(({ id }) => id).filter((id) => !named.has(id));
  const { taken, told } = await tellBulkOfLists(tx, lists, sizes.bulkEventsAtOnce);
  return taken > 0
    ? told
    : tellEvents(tx, moment, state, { bulk: true, limit: boundOf(moment, sizes.bulkEventsAtOnce, sizes) });
}

/** How many events a turn takes: each may take a look at its user for every followed rule. */
function boundOf({ rules }: Moment, limit: number, { usersAtOnce }: TurnSizes): number {
  const count = rules.byId.size;
  return count === 0 ? limit : Math.max(minEvents, Math.floor(Math.min(limit, usersAtOnce) / count));
}

async function tellEvents(
  tx: Tx,
  moment: Moment,
  { followed }: TurnState,
  lane: { readonly bulk: boolean; readonly limit: number },
): Promise<number> {
  await beginTurn(tx);
  const events = await takeEvents(tx, lane);
  const users = [...new Set(events.flatMap(({ user_id }) => user_id ?? []))];
  const waiting = lane.bulk || events.length < lane.limit ? new Set<number>() : await selectWaiting(tx, users);
  for (const event of events) if (event.kind === 'definition') await tellChanged(tx, moment, followed, event);
  const { standings, due } = await standingsAfter(tx, moment, events, waiting);
  const told = await tell(tx, standings);
  await replaceDue(tx, due);
  return told;
}

/** Tells a change of a definition, and has all who may have moved with it looked at. */
async function tellChanged(tx: Tx, moment: Moment, followed: TurnState['followed'], event: FeedEvent): Promise<void> {
  const { segment_id, details, at, actor } = event;
  await tellDefinition(tx, event);
  if (segment_id === null || !details?.decides) return;
  const isLive = moment.rules.definitions.byId.has(segment_id);
  await insertRechecks(tx, dependentsOf(moment, followed, segment_id), {
    at,
    cause: isLive ? 'definition' : 'deletion',
    actor,
    waits: details.waits,
  });
}

async function tellDue(tx: Tx, moment: Moment, limit: number): Promise<number> {
  await beginTurn(tx);
  const { standings, due } = await deriveFromTime(tx, moment, await takeDue(tx, moment.now, limit));
  const told = await tell(tx, standings);
  await replaceDue(tx, due);
  return told;
}
