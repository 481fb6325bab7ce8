import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { letPass } from '../../../test/time.ts';

const RUNS = 12;
/** Longer than any run takes, and than it sets times. */
const ttlSeconds = 3_600;

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

type Mode = 'include' | 'exclude';

interface Override {
  readonly mode: Mode;
  readonly expires: boolean;
}

type Rule = 'list' | 'everybody' | 'nobody' | { readonly named: Segment; readonly negated: boolean };

interface Segment {
  readonly rule: Rule;
  slug: string;
}

class User {
  readonly overrides = new Map<Segment, Override>();
  readonly story: { segment: Segment; action: string; mode: Mode }[] = [];
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }

  isIn(segment: Segment): boolean {
    const override = this.overrides.get(segment);
    return override ? override.mode === 'include' : this.byRule(segment);
  }

  byRule({ rule }: Segment): boolean {
    if (typeof rule === 'object') return this.isIn(rule.named) !== rule.negated;
    return rule === 'everybody';
  }

  /** Sets or drops an override, and reports whether that is a change. Each expiry that is set counts as another one. */
  set(segment: Segment, next: Override | undefined): void {
    const before = this.overrides.get(segment);
    const tell = (action: string, mode: Mode) => this.story.push({ segment, action, mode });
    if (!next) {
      if (!before) return;
      this.overrides.delete(segment);
      tell('remove', before.mode);
    } else if (before?.mode !== next.mode || before.expires || next.expires) {
      this.overrides.set(segment, next);
      tell(before ? 'update' : 'add', next.mode);
    }
  }

  /** The other changes have been made: nothing but an exclude keeps out of a segment whose rule lets in. */
  leave(segment: Segment): void {
    const override = this.overrides.get(segment);
    if (override?.mode === 'exclude') return;
    if (this.byRule(segment)) this.set(segment, { mode: 'exclude', expires: false });
    else this.set(segment, undefined);
  }

  expire(): void {
    for (const [segment, { mode, expires }] of this.overrides) {
      if (!expires) continue;
      this.overrides.delete(segment);
      this.story.push({ segment, action: 'expire', mode });
    }
  }
}

// Few names, or nearly every step would meet something new.
const slug = fc.constantFrom<string>('a', 'b', 'c', 'd');
const user = fc.record({ name: fc.constantFrom('u', 'v'), byId: fc.boolean() });
const expires = fc.boolean();
const plain = fc.constantFrom<Exclude<Rule, object>>('list', 'everybody', 'nobody');
const nested = fc.record({ named: slug, negated: fc.boolean() });
const create = fc.record({ do: fc.constant('create'), slug, rule: fc.oneof(plain, nested) });
/** Every run begins with segments that name each other. */
const beginning = fc.tuple(
  fc.record({ do: fc.constant('create'), slug: fc.constant('a'), rule: plain }),
  fc.record({
    do: fc.constant('create'),
    slug: fc.constant('b'),
    rule: fc.oneof(
      plain,
      nested.map((rule) => ({ ...rule, named: 'a' })),
    ),
  }),
  fc.record({
    do: fc.constant('create'),
    slug: fc.constant('c'),
    rule: nested.map((rule) => ({ ...rule, named: 'b' })),
  }),
);
const step = fc.oneof(
  { weight: 2, arbitrary: create },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete'), slug }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rename'), slug, to: slug }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('add'), user, slug, expires }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove'), user, slug }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('put'),
      user,
      slug,
      mode: fc.constantFrom('include', 'exclude', 'auto'),
      expires,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('patch'),
      user,
      add: fc.uniqueArray(slug, { maxLength: 3 }),
      remove: fc.uniqueArray(slug, { maxLength: 3 }),
      expires,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait'), user }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('erase'), user }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
type Take<Kind extends Step['do']> = Extract<Step, { do: Kind }>;

/** One run: the model beside the service, under names of its own. */
class Run {
  /** Live ones, in the order of their creation: conditions name earlier ones only. */
  readonly segments = new Set<Segment>();
  readonly users = new Map<string, User>();
  readonly prefix: string;
  #times = 0;

  constructor(n: number) {
    this.prefix = `run${n}-`;
  }

  slug(name: string): string {
    return this.prefix + name;
  }

  find(name: string): Segment | undefined {
    for (const segment of this.segments) if (segment.slug === this.slug(name)) return segment;
    return undefined;
  }

  isNamed(segment: Segment): boolean {
    for (const { rule } of this.segments) if (typeof rule === 'object' && rule.named === segment) return true;
    return false;
  }

  /** Another time each time, and none that comes before the test lets it pass. */
  expiry(expires: boolean): { ttl?: number } {
    return expires ? { ttl: ttlSeconds + this.#times++ } : {};
  }

  /** As the call names the user: by our id only where there is one. */
  ref({ name, byId }: { name: string; byId: boolean }): string | number {
    const known = this.users.get(name);
    return byId && known ? known.id : `ext:${this.prefix}${name}`;
  }

  /** After a call that registers whom it does not know. */
  async known(name: string): Promise<User> {
    const known = this.users.get(name);
    if (known) return known;
    const { id } = await client.get(`/api/users/ext:${this.prefix}${name}`);
    const made = new User(id);
    this.users.set(name, made);
    return made;
  }

  /** Takes one step in both worlds, and demands the status that the model foretells. */
  take(step: Step): Promise<void> {
    switch (step.do) {
      case 'create':
        return this.createSegment(step);
      case 'delete':
        return this.deleteSegment(step);
      case 'rename':
        return this.renameSegment(step);
      case 'add':
        return this.add(step);
      case 'remove':
        return this.remove(step);
      case 'put':
        return this.put(step);
      case 'patch':
        return this.patch(step);
      case 'wait':
        return this.wait(step);
      case 'erase':
        return this.erase(step);
    }
  }

  async createSegment(step: Take<'create'>): Promise<void> {
    const named = typeof step.rule === 'object' ? this.find(step.rule.named) : undefined;
    const taken = this.find(step.slug) !== undefined;
    let rule: Rule = 'list';
    let definition: object = {};
    if (typeof step.rule === 'object') {
      const operator = step.rule.negated ? '$notInSegment' : '$inSegment';
      definition = { condition: { [operator]: this.slug(step.rule.named) } };
      if (named) rule = { named, negated: step.rule.negated };
    } else {
      rule = step.rule;
      if (rule !== 'list') definition = { percentage: rule === 'everybody' ? 100 : 0 };
    }
    const refused = typeof step.rule === 'object' && !named;
    const { status } = await client.call('POST', '/api/segments', { slug: this.slug(step.slug), ...definition });
    expect(status).toBe(refused ? 400 : taken ? 409 : 200);
    if (status === 200) this.segments.add({ rule, slug: this.slug(step.slug) });
  }

  async deleteSegment(step: Take<'delete'>): Promise<void> {
    const segment = this.find(step.slug);
    const { status } = await client.call('DELETE', `/api/segments/${this.slug(step.slug)}`);
    expect(status).toBe(segment ? (this.isNamed(segment) ? 409 : 200) : 404);
    if (status === 200 && segment) this.forget(segment);
  }

  async renameSegment(step: Take<'rename'>): Promise<void> {
    const segment = this.find(step.slug);
    const { status } = await client.call('PATCH', `/api/segments/${this.slug(step.slug)}`, {
      slug: this.slug(step.to),
    });
    const inTheWay = this.find(step.to);
    expect(status).toBe(segment ? (inTheWay && inTheWay !== segment ? 409 : 200) : 404);
    if (status === 200 && segment) segment.slug = this.slug(step.to);
  }

  async add(step: Take<'add'>): Promise<void> {
    const segment = this.find(step.slug);
    const { status } = await client.add(this.ref(step.user), this.slug(step.slug), this.expiry(step.expires));
    expect(status).toBe(segment ? 200 : 404);
    if (segment) (await this.known(step.user.name)).set(segment, { mode: 'include', expires: step.expires });
  }

  async remove(step: Take<'remove'>): Promise<void> {
    const segment = this.find(step.slug);
    const known = this.users.get(step.user.name);
    const { status } = await client.remove(this.ref(step.user), this.slug(step.slug));
    expect(status).toBe(segment && known ? 200 : 404);
    if (segment) known?.leave(segment);
  }

  async put(step: Take<'put'>): Promise<void> {
    const segment = this.find(step.slug);
    const expires = step.expires && step.mode !== 'auto';
    const body = { mode: step.mode, ...this.expiry(expires) };
    const { status } = await client.put(this.ref(step.user), this.slug(step.slug), body);
    expect(status).toBe(segment ? 200 : 404);
    if (!segment) return;
    const known = await this.known(step.user.name);
    known.set(segment, step.mode === 'auto' ? undefined : { mode: step.mode as Mode, expires });
  }

  async patch(step: Take<'patch'>): Promise<void> {
    const { status } = await client.patch(this.ref(step.user), {
      add: step.add.map((name) => ({ slug: this.slug(name), ...this.expiry(step.expires) })),
      remove: step.remove.map((name) => this.slug(name)),
    });
    const clash = step.add.some((name) => step.remove.includes(name));
    const unknown = [...step.add, ...step.remove].some((name) => !this.find(name));
    expect(status).toBe(clash ? 400 : unknown ? 404 : 200);
    if (status !== 200) return;
    const known = await this.known(step.user.name);
    for (const segment of this.segments) {
      if (step.add.includes(this.short(segment))) known.set(segment, { mode: 'include', expires: step.expires });
    }
    const removed = [...this.segments].filter((segment) => step.remove.includes(this.short(segment)));
    for (const segment of removed) known.leave(segment);
  }

  async wait(step: Take<'wait'>): Promise<void> {
    const known = this.users.get(step.user.name);
    if (!known) return;
    await letPass(service.db, known.id, 2 * ttlSeconds);
    known.expire();
  }

  async erase(step: Take<'erase'>): Promise<void> {
    const { status } = await client.call('DELETE', `/api/users/${this.ref(step.user)}`);
    expect(status).toBe(this.users.has(step.user.name) ? 204 : 404);
    this.users.delete(step.user.name);
  }

  short(segment: Segment): string {
    return segment.slug.slice(this.prefix.length);
  }

  forget(segment: Segment): void {
    this.segments.delete(segment);
    for (const known of this.users.values()) known.set(segment, undefined);
  }

  /** Every read says what the model says. */
  async compare(): Promise<void> {
    const everyone = [...this.users.values()];
    const { results } = (await client.call('POST', '/api/resolve', { users: everyone.map(({ id }) => String(id)) }))
      .body;
    for (const [i, known] of everyone.entries()) {
      const expected = [...this.segments]
        .filter((segment) => known.isIn(segment))
        .map((segment) => segment.slug)
        .sort();
      expect(await client.segmentsOf(known.id)).toEqual(expected);
      expect(results[i].segments).toEqual(expected);
      const events = await client.all(`/api/users/${known.id}/history`, 'events');
      expect(events.map(({ slug, action, source }) => `${slug} ${action} ${source}`).sort()).toEqual(
        known.story.map(({ segment, action, mode }) => `${segment.slug} ${action} ${mode}`).sort(),
      );
    }
    for (const segment of this.segments) {
      const ours = new Set(everyone.map(({ id }) => id));
      const members = await client.all(`/api/segments/${segment.slug}/users`, 'users', 1_000);
      expect((await client.get(`/api/segments/${segment.slug}/count`)).count).toBe(members.length);
      const expected = everyone.filter((known) => known.isIn(segment)).map(({ id }) => id);
      expect(members.map(({ id }) => id).filter((id) => ours.has(id))).toEqual(expected.sort((a, b) => a - b));
    }
  }

  /** Those of one run would let in the users of the next, also of the one that looks for a shorter story that fails. */
  async deleteSegments(): Promise<void> {
    for (const segment of [...this.segments].reverse()) {
      expect((await client.call('DELETE', `/api/segments/${segment.slug}`)).status).toBe(200);
      this.forget(segment);
    }
  }

  async end(): Promise<void> {
    await this.compare();
    for (const name of this.users.keys()) await client.call('DELETE', `/api/users/ext:${this.prefix}${name}`);
  }
}

it('whatever is done, the service does what a model does, and its state is the fold of its history', async ({
  annotate,
}) => {
  let [runs, steps] = [0, 0];
  const property = fc.asyncProperty(beginning, fc.array(step, { maxLength: 80, size: 'max' }), async (first, then) => {
    const run = new Run(++runs);
    const taken: Step[] = [...first, ...then];
    try {
      for (const [i, step] of taken.entries()) {
        await run.take(step);
        if (i % 8 === 7) await run.compare();
      }
      steps += taken.length;
      await run.compare();
    } finally {
      await run.deleteSegments();
    }
    await run.end();
    await expectFold(service.db);
  });
  // On failure this prints the seed, the path and the shortest story that fails.
  const { SEED } = process.env;
  await fc.assert(property, { numRuns: RUNS, ...(SEED && { seed: Number(SEED) }) });
  await annotate(`${runs} runs, ${steps} steps`);
});
