import type { PublishedChange } from '@kohort/testkit/published-change.ts';

/** The state of a follower: a snapshot with every later change applied in order. Records every inconsistency as a fault. */
export class Fold {
  readonly members = new Map<string, Set<number>>();
  readonly causes = new Map<string, number>();
  readonly faults: string[] = [];
  applied = 0;
  repeated = 0;
  readonly #seen = new Map<string, string>();
  #last = 0n;
  readonly #isStrict: boolean;

  /**
   * @param isStrict whether every change must move a user. A feed by tags that has just joined a segment may receive a `left` of
   * a user who never entered for it.
   */
  constructor(isStrict = true) {
    this.#isStrict = isStrict;
  }

  begin(lines: readonly { readonly slug: string; readonly user_id: number }[]): void {
    for (const { slug, user_id } of lines) {
      if (this.#of(slug).has(user_id)) this.faults.push(`the snapshot has ${user_id} in ${slug} twice`);
      this.#of(slug).add(user_id);
    }
  }

  /** Changes may be repeated, with the same content. */
  apply(change: PublishedChange): void {
    const text = JSON.stringify(change);
    const known = this.#seen.get(change.id);
    if (known !== undefined) {
      this.repeated += 1;
      if (known !== text) this.faults.push(`${change.id} was ${known} and is ${text}`);
      return;
    }
    this.#seen.set(change.id, text);
    if (BigInt(change.id) <= this.#last) this.faults.push(`${text} came after ${this.#last}`);
    this.#last = BigInt(change.id);
    this.applied += 1;
    const what = `${change.type} ${change.cause}`;
    this.causes.set(what, (this.causes.get(what) ?? 0) + 1);
    this.#take(change, text);
  }

  #take({ type, slug, user_id, before, after }: PublishedChange, text: string): void {
    if (type === 'segment') {
      if (before && after && before.slug !== after.slug) this.#rename(before.slug, after.slug);
      return;
    }
    if (user_id === null) {
      this.faults.push(`${text} is about nobody`);
      return;
    }
    const members = this.#of(slug);
    const movesNobody = members.has(user_id) === (type === 'entered');
    if (movesNobody && this.#isStrict) this.faults.push(`${text} moves nobody`);
    if (type === 'entered') members.add(user_id);
    else members.delete(user_id);
  }

  #rename(before: string, after: string): void {
    const moved = this.#of(before);
    this.members.delete(before);
    for (const id of this.#of(after)) moved.add(id);
    this.members.set(after, moved);
  }

  #of(slug: string): Set<number> {
    const known = this.members.get(slug);
    if (known) return known;
    const members = new Set<number>();
    this.members.set(slug, members);
    return members;
  }

  /** The differences from the actual members. */
  differences(expected: ReadonlyMap<string, ReadonlySet<number>>): string[] {
    const found: string[] = [];
    for (const slug of new Set([...expected.keys(), ...this.members.keys()])) {
      const is = expected.get(slug) ?? new Set<number>();
      const has = this.members.get(slug) ?? new Set<number>();
      for (const id of is) if (!has.has(id)) found.push(`${id} is in ${slug}, but not according to the feed`);
      for (const id of has) if (!is.has(id)) found.push(`${id} is not in ${slug}, and the feed says so`);
    }
    return found;
  }
}
