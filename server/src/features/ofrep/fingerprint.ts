import { createHash } from 'node:crypto';
import type { Turns } from '../../concurrency/turns.ts';
import { decideAll } from '../../segmentation/decide.ts';
import { isActive } from '../../segmentation/definition.ts';
import type { Definitions } from '../../segmentation/definitions.ts';
import { changesMindAt, takesBucket } from '../../segmentation/share.ts';
import type { Steps } from '../../segmentation/steps.ts';
import { bucketOf, keyOf, type Subject } from '../../segmentation/subject.ts';
import { modesOf, readStanding, type SeenUser } from '../memberships/memberships.ts';

/** A digest of everything that decides the flags of a user, the same on every instance. */
export interface Fingerprint {
  readonly text: string;
  /** The part that does not depend on time. */
  readonly base: string;
  /** The first moment, in milliseconds since 1970, at which time alone may change the text. */
  readonly holdsUntil: number;
}

const stepDefinitions = 256;

function digestOf(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

/**
 * The part that depends on time: the segments that the user is in at a moment. Starts, ends and ramps count even if the stored
 * attributes do not satisfy the condition, since a caller may evaluate with a context that does.
 */
function* saidByTime(
  definitions: Definitions,
  subject: Subject,
  now: number,
): Steps<{ readonly said: readonly unknown[]; readonly holdsUntil: number }> {
  const decided = yield* decideAll(definitions, subject, now);
  let { holdsUntil } = decided;
  const changesAt = (moment: number) => {
    if (moment > now && moment < holdsUntil) holdsUntil = moment;
  };
  const members = decided.memberships.map(({ definition }) => definition.id).sort((a, b) => a - b);
  const started: number[] = [];
  const reached: number[] = [];
  let seen = 0;
  for (const definition of definitions.byId.values()) {
    const { id, activeFrom, activeUntil, share } = definition;
    changesAt(activeFrom);
    changesAt(activeUntil);
    const isTimed = Number.isFinite(activeFrom) || Number.isFinite(activeUntil);
    if (isTimed && isActive(definition, now)) started.push(id);
    const bucket = share?.kind === 'ramp' ? bucketOf(definition, subject) : null;
    if (share && bucket !== null) {
      changesAt(changesMindAt(share, bucket));
      if (takesBucket(share, bucket, now)) reached.push(id);
    }
    if (++seen % stepDefinitions === 0) yield;
  }
  return { said: [members, started, reached], holdsUntil };
}

/**
 * @param before the last one of the same user. The part that depends on time is computed again only if the rest has changed or its moment has come.
 */
export async function fingerprintOf(
  targetingKey: string,
  { user, definitions, now }: SeenUser,
  before: Fingerprint | undefined,
  turns: Turns,
): Promise<Fingerprint> {
  if (turns.isOver) await turns.pause();
  const base = digestOf(definitions.revision, user?.id, user?.overrides, user?.attributes);
  if (definitions.isPlain) return { text: base, base, holdsUntil: Number.POSITIVE_INFINITY };
  if (before?.base === base && now < before.holdsUntil) return before;
  const overrides = modesOf(await turns.take(readStanding(user?.overrides ?? null)));
  const subject = user
    ? { key: keyOf(user), attributes: user.attributes, overrides }
    : { key: targetingKey, attributes: {}, overrides };
  const { said, holdsUntil } = await turns.take(saidByTime(definitions, subject, now));
  return { text: digestOf(base, said), base, holdsUntil };
}
