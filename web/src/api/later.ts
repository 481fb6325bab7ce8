import type { Answer, accounts, attributes, history, jobs, keys, memberships, segments, users } from '@kohort/contract';

/** A percentage that moves by itself. */
export interface Ramp {
  readonly from: number;
  readonly to: number;
  readonly starts_at: string;
  readonly ends_at: string;
}

export interface LayerRange {
  readonly slug: string;
  readonly from: number;
  readonly to: number;
}

export type Condition = Readonly<Record<string, unknown>>;

/** What decides who is in, apart from overrides. */
export interface Rule {
  readonly percentage?: number | null;
  readonly condition?: Condition | null;
  readonly bucket_by?: string | null;
  readonly ramp?: Ramp | null;
  readonly layer?: LayerRange | null;
  readonly active_from?: string | null;
  readonly active_until?: string | null;
}

type Shared = Answer<typeof segments.listSegments>['segments'][number];
export type Listed = Omit<Shared, keyof Rule> & Rule;
export type Segment = Listed & { readonly used_by?: readonly string[] };
export type SegmentBody = Rule & { slug?: string; description?: string | null; tags?: readonly string[] | null };

export type User = Answer<typeof users.readUser>;
export type Member = Answer<typeof segments.listMembers>['users'][number];
export type Source = Member['source'] | (string & {});
export type Membership = Answer<typeof memberships.listMemberships>['memberships'][number];
export type Why = Answer<typeof memberships.explainPair> & { readonly percentage?: number | null };
export type UserEvent = Answer<typeof history.userHistory>['events'][number];
export type Account = Answer<typeof accounts.listAccounts>['accounts'][number];

export interface Warning {
  readonly path: string;
  readonly message: string;
}

export interface Preview {
  readonly count: number;
  readonly total: number;
  readonly sample: readonly User[];
  readonly warnings?: readonly Warning[];
}

export interface Change {
  readonly count: number;
  readonly total: number;
  readonly entering: number;
  readonly leaving: number;
  readonly sample_entering: readonly User[];
  readonly sample_leaving: readonly User[];
  readonly warnings?: readonly Warning[];
}

export type Attribute = Answer<typeof attributes.listAttributes>['attributes'][number];

export type Sizes = Answer<typeof segments.segmentSizes>;

export type Overlap = Answer<typeof segments.overlap>;

export interface VersionState extends Rule {
  readonly slug: string;
  readonly description: string | null;
  readonly tags: readonly string[];
}

export interface Version {
  readonly at: string;
  readonly actor: string;
  readonly action: 'create' | 'update' | 'delete';
  readonly before: VersionState | null;
  readonly after: VersionState | null;
}

export interface Versions {
  readonly events: readonly Version[];
  readonly next_cursor: string | null;
}

export interface Layer {
  readonly id: number;
  readonly slug: string;
  readonly segments: readonly LayerRange[];
}

export interface Layers {
  readonly layers: readonly Layer[];
  readonly next_cursor?: string | null;
}

export type Job = Answer<typeof jobs.readJob>;

export type Key = Answer<typeof keys.listKeys>['keys'][number];

export interface NewKey {
  readonly name: string;
  readonly role: 'viewer' | 'editor' | 'browser';
  readonly expires_at?: string | null;
  readonly origins?: readonly string[];
  readonly tags?: readonly string[];
}

export type CreatedKey = Key & { readonly key: string };
