import type { Change, Feed } from '../api.ts';
import { ExternalIdHash, MemberSet } from './member-set.ts';
import type { FeedMember } from './snapshot.ts';

export type UserKey = { readonly id: number } | { readonly externalId: string };

/** `2`, or `ext:` and the external id, as everywhere. */
export function readUser(user: string): UserKey {
  if (user.startsWith('ext:')) return { externalId: user.slice('ext:'.length) };
  const id = Number(user);
  if (!/^[1-9]\d{0,15}$/.test(user) || !Number.isSafeInteger(id)) {
    throw new TypeError(`A user is an id, or ext: and an external id; not ${JSON.stringify(user)}.`);
  }
  return { id };
}

/** Who is in the segments that a feed follows: a snapshot, and the changes after it folded over it. */
export class Followed {
  readonly #members = new Map<string, MemberSet>();
  readonly #hash: ExternalIdHash;
  #tags: ReadonlySet<string> | undefined;

  constructor() {
    this.#hash = new ExternalIdHash(crypto.getRandomValues(new Uint32Array(4)));
  }

  get slugs(): string[] {
    return [...this.#members.keys()].sort();
  }

  /** Undefined for a segment that is not followed. */
  has(user: UserKey, slug: string): boolean | undefined {
    const members = this.#members.get(slug);
    return members && ('id' in user ? members.hasId(user.id) : members.hasExternalId(user.externalId));
  }

  /** The followed segments, including empty ones. */
  begin(slugs: readonly string[], tags: readonly string[] | null): void {
    this.#tags = tags ? new Set(tags) : undefined;
    for (const slug of slugs) this.#membersOf(slug);
  }

  /** Whether the feed follows the same segments as before, apart from what its changes reported. */
  isOf({ segments, tags }: Pick<Feed, 'segments' | 'tags'>): boolean {
    const known = this.#tags;
    if (!known || !tags) return !known && !tags && this.slugs.join() === segments?.toSorted().join();
    return known.size === new Set(tags).size && tags.every((tag) => known.has(tag));
  }

  add({ slug, user_id, external_id }: FeedMember): void {
    this.#membersOf(slug).add(user_id, external_id);
  }

  apply(change: Change): void {
    const { type, slug, user_id, external_id } = change;
    if (type === 'segment') this.#redefine(change);
    else if (user_id === null) return;
    else if (type === 'entered') this.#membersOf(slug).add(user_id, external_id);
    else this.#members.get(slug)?.remove(user_id, external_id);
  }

  #membersOf(slug: string): MemberSet {
    let members = this.#members.get(slug);
    if (!members) {
      members = new MemberSet(this.#hash);
      this.#members.set(slug, members);
    }
    return members;
  }

  /** The segment was renamed, deleted, or lost the tag of the feed. */
  #redefine({ before, after }: Change): void {
    if (before && before.slug !== after?.slug) {
      const members = this.#members.get(before.slug);
      this.#members.delete(before.slug);
      if (after && members) this.#members.set(after.slug, members);
    }
    if (!after) return;
    const tags = this.#tags;
    if (tags === undefined || after.tags.some((tag) => tags.has(tag))) this.#membersOf(after.slug);
    else this.#members.delete(after.slug);
  }
}
