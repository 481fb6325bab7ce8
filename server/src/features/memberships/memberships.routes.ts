import { type Body, memberships as contract, invalid, maxListEntries, parseTime, parseUserRef } from '@kohort/contract';
import type { FastifyRequest } from 'fastify';
import type { AtMost } from '../../concurrency/at-most.ts';
import { consistencyOf } from '../../http/consistency.ts';
import { listPieces, sendJsonPieces } from '../../http/json-pieces.ts';
import type { Router } from '../../http/route.ts';
import type { Db } from '../../postgres/database.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { refuseUnseen, seenIds, seenSlugs, slugsWithTags } from '../segments/segments.ts';
import { unknownUser } from '../users/users.ts';
import { type PastContext, segmentsAt } from './read/at.ts';
import { explain, membershipsOf, type StateOfUser } from './read/explain.ts';
import { type Resolve, resolvedPieces } from './read/resolve.ts';
import { type SegmentsOfUser, slugsOf } from './read/segments-of-user.ts';
import { changeOverride, changeOverrides, type Ledger, type Wanted } from './write/ledger.ts';
import { changeMembers, type MemberChange } from './write/many.ts';

const ok = { status: 'ok' } as const;

interface ExpiryInput {
  readonly expires_at?: string | null;
  readonly ttl?: number;
}

function readExpiry({ expires_at = null, ttl }: ExpiryInput, path: string): Pick<Wanted, 'expiresAt' | 'ttl' | 'path'> {
  if (expires_at !== null && ttl !== undefined) throw invalid(path, 'takes expires_at or ttl, not both');
  return { expiresAt: expires_at === null ? null : (parseTime(expires_at) ?? null), ttl: ttl ?? null, path };
}

function removal(slug: string): Wanted {
  return { slug, kind: 'remove', expiresAt: null, ttl: null, path: '' };
}

function readMemberChanges({ add = [], remove = [] }: Body<typeof contract.changeMembers>): MemberChange[] {
  if (add.length + remove.length > maxListEntries) {
    throw invalid('/body', `must not name more than ${maxListEntries} users in all`);
  }
  const added = add.map((one, i): MemberChange => {
    const { user: text, ...expiry } = typeof one === 'string' ? { user: one } : one;
    const path = `/body/add/${i}`;
    const user = parseUserRef(text, typeof one === 'string' ? path : `${path}/user`);
    return { user, text, kind: 'include', ...readExpiry(expiry, path) };
  });
  const removed = remove.map((text, i): MemberChange => {
    const path = `/body/remove/${i}`;
    return { user: parseUserRef(text, path), text, kind: 'remove', expiresAt: null, ttl: null, path };
  });
  const changes = [...added, ...removed];
  const seen = new Map<string, string>();
  for (const { text, path } of changes) {
    const twin = seen.get(text);
    if (twin !== undefined) throw invalid(path, `names the same user as ${twin}`);
    seen.set(text, path);
  }
  return changes;
}

/** Reads of users as they are now; concurrent calls share statements. */
export interface CoalescedReads {
  readonly segmentsOf: SegmentsOfUser;
  readonly resolve: Resolve;
  readonly stateOf: StateOfUser;
}

/** All reads of users; the coalesced ones share their statements with the fast path. */
export interface MembershipReads extends CoalescedReads {
  /** For calls with `Consistency: eventual`. */
  readonly eventual: CoalescedReads;
  readonly past: PastContext;
  readonly largeAnswers: AtMost;
}

function readsFor(reads: MembershipReads, { headers }: FastifyRequest): CoalescedReads {
  return consistencyOf(headers) === 'eventual' ? reads.eventual : reads;
}

export function membershipRoutes(router: Router, reads: MembershipReads, ledger: Ledger, once: Once): void {
  readRoutes(router, reads, ledger.db);
  changeRoutes(router, ledger, once);
}

function readRoutes({ route }: Router, reads: MembershipReads, db: Db): void {
  route(contract.listUserSegments, async ({ params, query, caller, request }) => {
    const user = parseUserRef(params.user);
    const at = query.at === undefined ? undefined : parseTime(query.at);
    if (at) return { segments: await segmentsAt(reads.past, user, at, caller.tags) };
    const body = await readsFor(reads, request).segmentsOf(user);
    if (body === undefined) throw unknownUser();
    const slugs = slugsOf(body);
    const seen = await seenSlugs(db, caller.tags, slugs);
    return { segments: slugs.filter((slug) => seen.has(slug)) };
  });

  route(contract.explainPair, async ({ params, request }) => {
    const { stateOf } = readsFor(reads, request);
    const { expires_at, ...why } = await explain(stateOf, parseUserRef(params.user), params.slug);
    return { ...why, expires_at: expires_at?.toISOString() ?? null };
  });

  route(contract.listMemberships, async ({ params, caller, request, reply }) => {
    const memberships = await membershipsOf({ ...reads, ...readsFor(reads, request) }, parseUserRef(params.user), {
      caller: caller.actor,
      seenBy: (ids) => seenIds(db, caller.tags, ids),
    });
    return sendJsonPieces(reply, listPieces('memberships', memberships));
  });

  route(contract.resolve, async ({ body, caller, request, reply }) => {
    const users = body.users.map((text, i) => parseUserRef(text, `/body/users/${i}`));
    const segments = caller.tags ? await slugsWithTags(db, caller.tags, body.segments) : body.segments;
    const bodies = await readsFor(reads, request).resolve({ users, segments });
    return sendJsonPieces(reply, resolvedPieces(body.users, bodies));
  });
}

function changeRoutes({ route }: Router, ledger: Ledger, once: Once): void {
  const { db } = ledger;

  route(contract.addToSegment, async ({ params, body, caller }) => {
    const wanted: Wanted = { slug: body.slug, kind: 'include', ...readExpiry(body, '/body') };
    await refuseUnseen(db, caller.tags, [body.slug]);
    await changeOverride(ledger, parseUserRef(params.user), wanted, caller.actor);
    return ok;
  });

  for (const endpoint of [contract.removeFromSegment, contract.removeFromSegmentShort]) {
    route(endpoint, async ({ params, caller }) => {
      await changeOverride(ledger, parseUserRef(params.user), removal(params.slug), caller.actor);
      return ok;
    });
  }

  route(contract.setOverride, async ({ params, body, caller }) => {
    const expiry = readExpiry(body, '/body');
    if (body.mode === 'auto' && (expiry.expiresAt !== null || expiry.ttl !== null)) {
      throw invalid('/body', 'takes no expiry with mode auto, which drops the override');
    }
    await changeOverride(
      ledger,
      parseUserRef(params.user),
      { slug: params.slug, kind: body.mode, ...expiry },
      caller.actor,
    );
    return ok;
  });

  route(contract.changeSegments, async ({ params, body, caller }) => {
    const user = parseUserRef(params.user);
    const added = (body.add ?? []).map((one, i): Wanted => {
      const { slug, ...expiry } = typeof one === 'string' ? { slug: one } : one;
      return { slug, kind: 'include', ...readExpiry(expiry, `/body/add/${i}`) };
    });
    const wanted = [...added, ...(body.remove ?? []).map(removal)];
    const seen = new Set<string>();
    for (const { slug } of wanted) {
      if (seen.has(slug)) throw invalid('/body', `names ${slug} twice`);
      seen.add(slug);
    }
    await refuseUnseen(db, caller.tags, [...seen]);
    await changeOverrides(ledger, user, wanted, caller.actor);
    return ok;
  });

  route(contract.changeMembers, ({ params, body, caller, idempotent }) =>
    changeMembers(ledger, (work) => once(idempotent, work), params.slug, readMemberChanges(body), caller.actor),
  );
}
