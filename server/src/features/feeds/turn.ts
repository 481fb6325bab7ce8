import { setTimeout as sleep } from 'node:timers/promises';
import { Turns } from '../../concurrency/turns.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import type { Definitions } from '../../segmentation/definitions.ts';
import { type FeedEvent, selectWaiting, takeDefinitions, takeEvents } from '../outbox/outbox.ts';
import { publishBulkOfLists } from './bulk.sql.ts';
import { standingsAfter } from './derive.ts';
import { deriveFromTime } from './derive-rules.ts';
import { replaceDue, takeDue } from './due.sql.ts';
import { fillSlice } from './fill.ts';
import { forgetSlice, moveSlice, publishDefinition } from './following.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { publish } from './publish.ts';
import { insertRechecks } from './rechecks.sql.ts';
import { dependentsOf, recheckNext, seeToBounds } from './rechecks.ts';
import { type FollowedRules, followedRules } from './rules.ts';
import { beginTurn, selectPrepared, selectTurnState, type TurnState } from './turn-state.sql.ts';

/**
 * The result of a turn. `idle`: there is no work, or another instance has the lock. `published`: work was done and there may be
 * more. `revision`: nothing was done, since the definitions in memory are not of this revision.
 */
export type Turn = 'idle' | { readonly published: number } | { readonly revision: number };

/** The followed rules under one state of the definitions, kept from turn to turn. */
export class RulesInMemory {
  #of = '';
  #rules: FollowedRules | undefined;

  /** The last turn published single events. However many come, due evaluations and slices of large work get every other turn. */
  isTurnOfOthers = false;
  /** Whether anything was followed as of the last turn. */
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

/** The fewest events in a turn, however many rules are followed: enough to keep up. */
const minEvents = 20;

/** Each may be megabytes. */
const definitionsAtOnce = 8;

const lookEveryMs = 10;
const maxLooks = 100;

/**
 * One turn of publishing, on one snapshot, so that users are evaluated in exactly the state that the events lead to. Single events
 * come first: a single change waits for one slice of large work at most.
 */
export async function takeTurn(
  tx: Tx,
  definitions: Definitions,
  memory: RulesInMemory,
  { outside, ...sizes }: TurnSizes & { readonly outside: Db },
): Promise<Turn> {
  const state = await selectTurnState(tx);
  if (!state.is_ours) return 'idle';
  memory.isAny = state.followed.length > 0;
  if (state.followed.length === 0 && !state.has_events && !state.has_bulk_events && !state.has_unfollowed)
    return 'idle';
  if (state.revision !== definitions.revision) return { revision: state.revision };
  if (tx.isDistributed && !(await isOnWorkers(tx))) return 'idle';
  const moment: Moment = { rules: memory.at(definitions, state), now: state.now, turns: new Turns(), outside };
  // A rename is published before any change under the new slug.
  if (memory.isTurnOfOthers && !state.has_definitions) {
    memory.isTurnOfOthers = false;
    const turn = await takeOther(tx, moment, state, sizes);
    if (turn !== 'idle') return turn;
  }
  if (state.has_events) {
    memory.isTurnOfOthers = true;
    return {
      published: await publishEvents(tx, moment, state, {
        bulk: false,
        limit: boundOf(moment, sizes.eventsAtOnce, sizes),
      }),
    };
  }
  return takeOther(tx, moment, state, sizes);
}

/** Whether workers show by now what the snapshot shows; false where one of them takes too long. */
async function isOnWorkers(tx: Tx): Promise<boolean> {
  let awaited = await selectPrepared(tx);
  for (let look = 0; awaited.length > 0 && look < maxLooks; look++) {
    await sleep(lookEveryMs);
    const prepared = new Set(await selectPrepared(tx));
    awaited = awaited.filter((gid) => prepared.has(gid));
  }
  return awaited.length === 0;
}

/** Due evaluations, else a slice of large work. */
async function takeOther(tx: Tx, moment: Moment, state: TurnState, sizes: TurnSizes): Promise<Turn> {
  if (state.has_due) return { published: await publishDue(tx, moment, sizes.eventsAtOnce) };
  if (await seeToBounds(tx, moment, state.followed)) return { published: 0 };
  return takeSlice(tx, moment, state, sizes);
}

/** A slice of the first large piece of work. */
async function takeSlice(tx: Tx, moment: Moment, state: TurnState, sizes: TurnSizes): Promise<Turn> {
  if (state.has_unfilled && (await fillSlice(tx, moment, sizes))) return { published: 0 };
  if (state.has_bulk_events) return { published: await publishBulk(tx, moment, state, sizes) };
  const published = state.has_rechecks ? await recheckNext(tx, moment, sizes) : undefined;
  if (published !== undefined) return { published };
  if (!state.has_moves && !state.has_unfollowed) return 'idle';
  await beginTurn(tx);
  const { sliceRows } = sizes;
  const moved = state.has_moves ? await moveSlice(tx, sliceRows) : undefined;
  if (moved !== undefined) return { published: moved };
  return (await forgetSlice(tx, sliceRows)) ? { published: 0 } : 'idle';
}

async function publishBulk(tx: Tx, moment: Moment, state: TurnState, sizes: TurnSizes): Promise<number> {
  // On Citus no one statement joins memberships with what is published: there, events are published one by one.
  if (!tx.isDistributed) {
    await beginTurn(tx);
    const named = new Set([...moment.rules.byId.values()].flatMap(({ involved }) => [...involved]));
    const lists = state.followed.map(({ id }) => id).filter((id) => !named.has(id));
    const { taken, published } = await publishBulkOfLists(tx, lists, sizes.bulkEventsAtOnce);
    if (taken > 0) return published;
  }
  return publishEvents(tx, moment, state, { bulk: true, limit: boundOf(moment, sizes.bulkEventsAtOnce, sizes) });
}

/** How many events a turn takes: each may need an evaluation of its user for every followed rule. */
function boundOf({ rules }: Moment, limit: number, { usersAtOnce }: TurnSizes): number {
  const count = rules.byId.size;
  return count === 0 ? limit : Math.max(minEvents, Math.floor(Math.min(limit, usersAtOnce) / count));
}

async function publishEvents(
  tx: Tx,
  moment: Moment,
  { followed, has_definitions }: TurnState,
  lane: { readonly bulk: boolean; readonly limit: number },
): Promise<number> {
  await beginTurn(tx);
  const definitions = has_definitions ? await takeDefinitions(tx, definitionsAtOnce) : [];
  for (const event of definitions) await publishDefinitionEvent(tx, moment, followed, event);
  // A definition is published before any change that follows from it, and more definitions may be pending.
  if (definitions.length === definitionsAtOnce) return 0;
  const events = await takeEvents(tx, lane);
  const users = [...new Set(events.flatMap(({ user_id }) => user_id ?? []))];
  const waiting = lane.bulk || events.length < lane.limit ? new Set<number>() : await selectWaiting(tx, users);
  const { standings, due } = await standingsAfter(tx, moment, events, waiting);
  const published = await publish(tx, standings);
  await replaceDue(tx, due);
  return published;
}

/** Publishes a change of a definition, and schedules a recheck of the segments whose members it may move. */
async function publishDefinitionEvent(
  tx: Tx,
  moment: Moment,
  followed: TurnState['followed'],
  event: FeedEvent,
): Promise<void> {
  const { segment_id, details, at, actor } = event;
  await publishDefinition(tx, event);
  if (segment_id === null || !details?.decides) return;
  const isLive = moment.rules.definitions.byId.has(segment_id);
  await insertRechecks(tx, dependentsOf(moment, followed, segment_id), {
    at,
    cause: isLive ? 'definition' : 'deletion',
    actor,
    waits: details.waits,
  });
}

async function publishDue(tx: Tx, moment: Moment, limit: number): Promise<number> {
  await beginTurn(tx);
  const { standings, due } = await deriveFromTime(tx, moment, await takeDue(tx, moment.now, limit));
  const published = await publish(tx, standings);
  await replaceDue(tx, due);
  return published;
}
