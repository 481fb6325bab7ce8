// Written from the contract by `npm run fix`; changes belong there.
import type { CallOptions, CallShape, Paged, UploadBody } from './call.ts';

/** The stable word for each way a call can fail. */
export type ProblemCode =
  | 'malformed'
  | 'invalid'
  | 'targeting_key_missing'
  | 'invalid_context'
  | 'unauthenticated'
  | 'sign_in_failed'
  | 'forbidden'
  | 'sign_up_closed'
  | 'route_unknown'
  | 'user_unknown'
  | 'segment_unknown'
  | 'layer_unknown'
  | 'account_unknown'
  | 'key_unknown'
  | 'report_unknown'
  | 'job_unknown'
  | 'feed_unknown'
  | 'webhook_unknown'
  | 'delivery_unknown'
  | 'stream_unknown'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'username_taken'
  | 'external_id_taken'
  | 'slug_taken'
  | 'segment_referenced'
  | 'layer_overlap'
  | 'layer_used'
  | 'job_finished'
  | 'job_not_undoable'
  | 'idempotency_in_flight'
  | 'last_admin'
  | 'conditions_exhausted'
  | 'feeds_exhausted'
  | 'webhooks_exhausted'
  | 'delivery_pending'
  | 'resync'
  | 'version_stale'
  | 'too_large'
  | 'answer_too_large'
  | 'media_type'
  | 'idempotency_key_reused'
  | 'throttled'
  | 'header_too_large'
  | 'internal'
  | 'unavailable'
  | 'overloaded'
  | 'outcome_unknown';

/** The sign-in of a user, and its role. Its id is the id of the user. */
export interface Account {
  /** The id of a user. */
  id: number;
  username: string;
  name: string | null;
  /** The permissions of the account. Each role includes the ones before it: member, viewer, editor, admin. */
  role: 'member' | 'viewer' | 'editor' | 'admin';
  /** Whether it is barred from signing in. */
  disabled: boolean;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
}

export interface AccountPage {
  accounts: Account[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

export interface Attributes {
  attributes: {
    /** As used in conditions: a name, or a dotted path. */
    name: string;
    /** How many of the sampled users have a value of each type, by the names of `$type`. */
    types: Record<string, number>;
    examples: unknown[];
    /** How many of the sampled users have it. */
    users: number;
  }[];
  /** RFC 3339; answers use UTC with milliseconds. */
  sampled_at: string;
  /** The number of users in the sample. */
  sampled_users: number;
  /** Whether the sample contains every user. */
  is_complete: boolean;
}

/** `before` and `after` are only in changes of the type `segment`. */
export interface Change {
  /** The same each time that the change is delivered. */
  id: string;
  /** When it happened. */
  at: string;
  /** `entered` or `left`: a user. `segment`: the definition was changed. */
  type: 'entered' | 'left' | 'segment';
  /** The name of a segment: case-sensitive, unique among those that are not deleted. */
  slug: string;
  /** The id of a user. */
  user_id: number | null;
  /** Opaque, immutable, unique; 1–255 bytes of UTF-8 without control characters. */
  external_id: string | null;
  /** `add`, `remove`: an override was set or dropped. `expiry`: one ended. `import`: also its undo. `attributes`: of the user, or that they were registered. */
  cause:
    | 'add'
    | 'remove'
    | 'expiry'
    | 'attributes'
    | 'definition'
    | 'ramp'
    | 'start'
    | 'end'
    | 'import'
    | 'deletion'
    | 'erasure';
  /** `user:<id>`, `key:<id>`, `anonymous` or `system`. */
  actor: string;
  before?: Definition | null;
  after?: Definition | null;
}

export interface ChangePreview {
  /** How many users it would cover after the change. */
  count: number;
  /** How many users there are. */
  total: number;
  entering: number;
  leaving: number;
  sample_entering: User[];
  sample_leaving: User[];
  /** Valid input that looks like a mistake: an attribute, or a type of it, that no user has. */
  warnings: {
    /** The place in the body, as a JSON pointer. */
    path: string;
    message: string;
  }[];
}

export interface Changes {
  changes: Change[];
  /** An opaque position in the feed; the changes after it are those not read yet. */
  cursor: string;
}

/** The definition of a segment before or after a change. */
export interface Definition {
  /** The name of a segment: case-sensitive, unique among those that are not deleted. */
  slug: string;
  /** For people to read. */
  description: string | null;
  tags: string[];
  /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
  percentage: number | null;
  /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
  condition: Record<string, unknown> | null;
  /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
  bucket_by: string | null;
  ramp: Ramp | null;
  layer: LayerRange | null;
  /** The segment has no members before this time, regardless of overrides and rule. */
  active_from: string | null;
  /** The segment has no members from this time on, regardless of overrides and rule. */
  active_until: string | null;
}

/** A message to a webhook, with its outcome. */
export interface Delivery {
  /** The id of the delivery. */
  id: number;
  /** The header `webhook-id`: the same for each attempt, and for each replay of the message. */
  message_id: string;
  /** The kind of message. */
  type: 'changes' | 'resync' | 'test';
  /** The delivery whose message is sent again. */
  replay_of: number | null;
  /** `pending` until the receiver responds with a status from 200 to 299. Tests and replays are sent once. */
  state: 'pending' | 'succeeded' | 'failed';
  /** The number of changes in the message. */
  changes: number;
  attempts: number;
  /** The status of the last response; null if there was none. */
  status: number | null;
  /** Why the last attempt failed. */
  error: string | null;
  /** The beginning of the last response, up to 1 KiB. */
  response: string | null;
  /** The duration of the last attempt. */
  duration_ms: number | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  attempted_at: string | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  finished_at: string | null;
}

export interface DeliveryPage {
  deliveries: Delivery[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

export interface Done {
  status: 'ok';
}

/** Whether a user is in a segment, and why. */
export interface Explanation {
  /** Whether the user is in. */
  member: boolean;
  /** The deciding part: an override (`include`, `exclude`), or the definition of the segment. */
  source: 'include' | 'exclude' | 'percentage' | 'condition' | 'percentage+condition' | 'none';
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
  /** The bucket of the user, who is in if it is below the percentage. See [percentages](docs/percentage.md). */
  bucket: number | null;
  /** The current value, if there is a percentage or a ramp. */
  percentage: number | null;
  /** Whether the condition matches; null if there is none. */
  matched: boolean | null;
}

/** A subscription to the members of some segments. */
export interface Feed {
  /** The id of the feed. */
  id: number;
  /** For people to read. */
  name: string;
  /** Sorted by slug; null for a feed by tags. */
  segments: string[] | null;
  /** Instead of `segments`: follows every segment for as long as it carries one of these. */
  tags: string[] | null;
  /** The kinds of changes in the feed: of members, of definitions. Default all. */
  types: ('entered' | 'left' | 'segment')[];
  /** `preparing` until the members of segments that no feed followed before are known. */
  state: 'preparing' | 'ready';
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** `user:<id>` or `key:<id>`. */
  created_by: string;
}

export interface FeedPage {
  feeds: Feed[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

/** One evaluated flag. */
export interface FlagEvaluation {
  /** The key of the flag: the slug of the segment. */
  key: string;
  /** Whether the user is in the segment. */
  value: boolean;
  variant: 'member' | 'not_member';
  /** `STATIC`: a list or an override. `SPLIT`: a percentage, ramp or layer decided. `TARGETING_MATCH`: a condition let in. `DEFAULT`: anything else. */
  reason: 'STATIC' | 'SPLIT' | 'TARGETING_MATCH' | 'DEFAULT';
  /** Empty. */
  metadata: Record<string, never>;
}

/** The subject of an evaluation. */
export interface FlagEvaluationRequest {
  /** For server credentials its other members override the stored attributes in this evaluation; at most 16 KiB. */
  context?: {
    /** The external id of the user, never the numeric id. */
    targetingKey?: string | null;
  };
}

export interface FlagEvaluations {
  flags: FlagEvaluation[];
  eventStreams: FlagEventStream[];
  /** Empty. */
  metadata: Record<string, never>;
}

export interface FlagEventStream {
  type: 'sse';
  endpoint: {
    /** That of `PUBLIC_URL`; absent where it is not set. */
    origin?: string;
    /** Stays the same for an hour; needs no header. */
    requestUri: string;
  };
  /** Seconds after which an idle page may close the stream. */
  inactivityDelaySec: number;
}

/** Work that takes longer than a call: an import, its undo, a large question. */
export interface Job {
  id: string;
  /** segment_import, user_import, one of them with _undo, or question; more may be added. */
  kind: string;
  state: 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  /** The segment that it concerns, by its current or last slug; null if there is none. */
  segment: string | null;
  /** Whether it only counts what would change. */
  dry_run: boolean;
  /** The caller who started it: `user:<id>`, `key:<id>` or `anonymous`. */
  actor: string;
  /** Rows of data received. For a question, the id of the last user, once it is known. */
  rows: number;
  /** Rows applied so far; readers see them once all are applied. For a question, the id of the last user it has looked at. */
  processed: number;
  /** Users who were out and are in. */
  added: number;
  /** Users who got another expiry, name or attributes. */
  updated: number;
  /** Users who were in and are out. */
  removed: number;
  /** Users who already were as in the file. */
  unchanged: number;
  /** Rows about users who do not exist. */
  skipped: number;
  /** Users whose expiry passed before the file was applied. */
  lapsed: number;
  /** Users that an undo skipped, since they were changed after the import. */
  kept: number;
  errors: {
    /** The line of the file, from 1; null if the error does not concern one line. */
    line: number | null;
    message: string;
    /** For a row that did not fail the job; absent for an error. */
    level?: 'warning';
  }[];
  /** For a finished question: the answer that the call would have had. */
  result?: unknown;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  finished_at: string | null;
}

export interface JobAccepted {
  /** Its id: `GET /api/jobs/{id}` reports its progress. */
  job: string;
}

/** A job in lists, without `errors` and `result`. */
export interface JobEntry {
  id: string;
  /** segment_import, user_import, one of them with _undo, or question; more may be added. */
  kind: string;
  state: 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  /** The segment that it concerns, by its current or last slug; null if there is none. */
  segment: string | null;
  /** Whether it only counts what would change. */
  dry_run: boolean;
  /** The caller who started it: `user:<id>`, `key:<id>` or `anonymous`. */
  actor: string;
  /** Rows of data received. For a question, the id of the last user, once it is known. */
  rows: number;
  /** Rows applied so far; readers see them once all are applied. For a question, the id of the last user it has looked at. */
  processed: number;
  /** Users who were out and are in. */
  added: number;
  /** Users who got another expiry, name or attributes. */
  updated: number;
  /** Users who were in and are out. */
  removed: number;
  /** Users who already were as in the file. */
  unchanged: number;
  /** Rows about users who do not exist. */
  skipped: number;
  /** Users whose expiry passed before the file was applied. */
  lapsed: number;
  /** Users that an undo skipped, since they were changed after the import. */
  kept: number;
  /** Why it failed: the first of its `errors`. */
  error: string | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  finished_at: string | null;
}

/** A credential for programs. */
export interface Key {
  /** The id of the key. */
  id: number;
  /** For people to read. */
  name: string;
  /** The permissions of the key. `browser` can only evaluate flags over OFREP. */
  role: 'viewer' | 'editor' | 'browser';
  /** The key sees and changes only segments that carry one of these. Required for a browser key. */
  tags: string[] | null;
  /** For a browser key: the only origins it is accepted from, such as `https://shop.example`. */
  origins: string[] | null;
  /** Who created the key, as `user:1`; null for keys of older releases. */
  created_by: string | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
}

export interface KeyPage {
  keys: Key[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

/** Divides users by its own salt: the segments of a layer have ranges that never overlap. */
export interface Layer {
  id: number;
  /** Unique among live layers; never changes. */
  slug: string;
  /** The segments that have a range of it, in the order of their ranges. */
  segments: {
    /** The name of a segment: case-sensitive, unique among those that are not deleted. */
    slug: string;
    from: number;
    to: number;
  }[];
}

export interface LayerPage {
  layers: Layer[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

/** A range of the buckets of a layer, instead of `percentage` and `ramp`. Ranges of one layer never overlap. See [percentages](docs/percentage.md). */
export interface LayerRange {
  /** The layer. */
  slug: string;
  /** The first bucket; at most three decimals. */
  from: number;
  /** The first bucket after the range; above `from`. */
  to: number;
}

export interface Me {
  /** The id of a user. */
  id: number;
  username: string;
  name: string | null;
  /** The permissions of the account. Each role includes the ones before it: member, viewer, editor, admin. */
  role: 'member' | 'viewer' | 'editor' | 'admin';
}

/** A user who is in a segment. `since` is null where the definition let them in. */
export interface Member {
  /** The id of a user. */
  id: number;
  external_id: string | null;
  name: string | null;
  /** The deciding part: an override (`include`, `exclude`), or the definition of the segment. */
  source: 'include' | 'exclude' | 'percentage' | 'condition' | 'percentage+condition' | 'none';
  /** RFC 3339; answers use UTC with milliseconds. */
  since: string | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
}

export interface MemberPage {
  users: Member[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

/** A segment that a user is in. `since` is null where percentage or condition let them in. */
export interface Membership {
  /** The name of a segment: case-sensitive, unique among those that are not deleted. */
  slug: string;
  /** The deciding part: an override (`include`, `exclude`), or the definition of the segment. */
  source: 'include' | 'exclude' | 'percentage' | 'condition' | 'percentage+condition' | 'none';
  /** RFC 3339; answers use UTC with milliseconds. */
  since: string | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
}

export interface NewFeed {
  /** The id of the feed. */
  id: number;
  /** An opaque position in the feed; the changes after it are those not read yet. */
  cursor: string;
}

export interface NewKey {
  /** The id of the key. */
  id: number;
  /** For people to read. */
  name: string;
  /** The permissions of the key. `browser` can only evaluate flags over OFREP. */
  role: 'viewer' | 'editor' | 'browser';
  /** The key sees and changes only segments that carry one of these. Required for a browser key. */
  tags: string[] | null;
  /** For a browser key: the only origins it is accepted from, such as `https://shop.example`. */
  origins: string[] | null;
  /** Who created the key, as `user:1`; null for keys of older releases. */
  created_by: string | null;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
  /** The secret, shown only once and stored hashed. */
  key: string;
}

export interface NewSecret {
  /** Signs the messages, in the form of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. */
  secret: string;
  /** Until then messages are also signed with the previous secret. */
  previous_secret_until: string | null;
}

export interface NewWebhook {
  /** The id of the webhook. */
  id: number;
  /** The URL that messages are posted to. It must resolve to public addresses, or to networks in `WEBHOOK_ALLOW`. */
  url: string;
  /** The id of the feed whose changes it sends. */
  feed: number;
  /** If false, only tests and replays are sent. */
  enabled: boolean;
  /** `paused`: by a call. `gone`: the receiver answered 410. `failing`: it failed for three days. */
  disabled_reason: 'paused' | 'gone' | 'failing' | null;
  /** Attempts that have failed since the last success. */
  failures: number;
  /** RFC 3339; answers use UTC with milliseconds. */
  failing_since: string | null;
  /** While it fails: when the batch is retried. */
  next_attempt_at: string | null;
  /** The age of the oldest change in the batch that is not delivered yet; 0 if there is none. */
  lag_seconds: number;
  /** Until then messages are also signed with the previous secret. */
  previous_secret_until: string | null;
  /** `user:<id>` or `key:<id>`. */
  created_by: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** Shown only once; stored encrypted. */
  secret: string;
}

export interface Overlap {
  /** The number of members of each. */
  counts: Record<string, number>;
  /** For each pair the number of users in both. */
  pairs: {
    /** The name of a segment: case-sensitive, unique among those that are not deleted. */
    a: string;
    /** The name of a segment: case-sensitive, unique among those that are not deleted. */
    b: string;
    both: number;
  }[];
  /** Users in all of them. */
  all: number;
  /** Users in at least one. */
  any: number;
}

/** Puts a user into a segment or keeps them out, regardless of its rule. */
export interface Override {
  /** The id of a user. */
  user_id: number;
  /** Opaque, immutable, unique; 1–255 bytes of UTF-8 without control characters. */
  external_id: string | null;
  /** For people to read. */
  name: string | null;
  mode: 'include' | 'exclude';
  /** RFC 3339; answers use UTC with milliseconds. */
  since: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
}

export interface Preview {
  /** How many users it would cover. */
  count: number;
  /** How many users there are. */
  total: number;
  /** Up to ten of those covered. */
  sample: User[];
  /** Valid input that looks like a mistake: an attribute, or a type of it, that no user has. */
  warnings: {
    /** The place in the body, as a JSON pointer. */
    path: string;
    message: string;
  }[];
}

/** A percentage that changes over time, instead of `percentage`: linear between the two times, rounded down to three decimals. See [percentages](docs/percentage.md). */
export interface Ramp {
  /** At most three decimals. */
  from: number;
  /** At most three decimals. */
  to: number;
  /** Until then the percentage is `from`. */
  starts_at: string;
  /** From then on it is `to`; later than `starts_at`. */
  ends_at: string;
}

export interface Report {
  url: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string;
}

export interface Resolved {
  /** As in the request. */
  user: string;
  /** Sorted by slug; null for an unknown user. */
  segments: string[] | null;
}

/** Covers a list of users, a share of all, those who match a condition, or a share of those. */
export interface Segment {
  /** The id of the segment, which a rename keeps. */
  id: number;
  /** The name of a segment: case-sensitive, unique among those that are not deleted. */
  slug: string;
  /** For people to read. */
  description: string | null;
  tags: string[];
  /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
  percentage: number | null;
  /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
  condition: Record<string, unknown> | null;
  /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
  bucket_by: string | null;
  ramp: Ramp | null;
  layer: LayerRange | null;
  /** The segment has no members before this time, regardless of overrides and rule. */
  active_from: string | null;
  /** The segment has no members from this time on, regardless of overrides and rule. */
  active_until: string | null;
  /** A random text, generated once, from which buckets are computed. */
  salt: string;
  /** Increases by one with each change; for `If-Match`. */
  version: number;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  updated_at: string;
}

/** One change of an override in a segment. Of an erased user only the id is left. */
export interface SegmentChange {
  /** RFC 3339; answers use UTC with milliseconds. */
  at: string;
  /** The id of a user. */
  user_id: number;
  /** Opaque, immutable, unique; 1–255 bytes of UTF-8 without control characters. */
  external_id: string | null;
  /** `update` is another expiry or mode; `expire` is dated with the expiry. */
  action: 'add' | 'update' | 'remove' | 'expire';
  /** `include` or `exclude`; `import:<job>` for a bulk change. */
  source: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
  /** `user:<id>`, `key:<id>`, `anonymous` or `system`. */
  actor: string;
}

/** One change of a definition. */
export interface SegmentEvent {
  /** RFC 3339; answers use UTC with milliseconds. */
  at: string;
  /** `user:<id>`, `key:<id>`, `anonymous` or `system`. */
  actor: string;
  action: 'create' | 'update' | 'delete';
  before: Definition | null;
  after: Definition | null;
}

export interface SegmentPage {
  segments: Segment[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

export interface SegmentWithUses {
  /** The id of the segment, which a rename keeps. */
  id: number;
  /** The name of a segment: case-sensitive, unique among those that are not deleted. */
  slug: string;
  /** For people to read. */
  description: string | null;
  tags: string[];
  /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
  percentage: number | null;
  /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
  condition: Record<string, unknown> | null;
  /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
  bucket_by: string | null;
  ramp: Ramp | null;
  layer: LayerRange | null;
  /** The segment has no members before this time, regardless of overrides and rule. */
  active_from: string | null;
  /** The segment has no members from this time on, regardless of overrides and rule. */
  active_until: string | null;
  /** A random text, generated once, from which buckets are computed. */
  salt: string;
  /** Increases by one with each change; for `If-Match`. */
  version: number;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  updated_at: string;
  /** Segments whose conditions name this one. */
  used_by: string[];
}

export interface Sizes {
  /** In order of time. */
  points: {
    /** RFC 3339; answers use UTC with milliseconds. */
    at: string;
    count: number;
  }[];
}

/** A user of the application. */
export interface User {
  /** The id of a user. */
  id: number;
  /** The id of the user in your systems; immutable. */
  external_id: string | null;
  name: string | null;
  /** A JSON object of at most 16 KiB, measured as compact JSON in UTF-8. */
  attributes: Record<string, unknown>;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
}

/** One change of an override. */
export interface UserEvent {
  /** RFC 3339; answers use UTC with milliseconds. */
  at: string;
  /** The name of a segment: case-sensitive, unique among those that are not deleted. */
  slug: string;
  /** `update` is another expiry or mode; `expire` is dated with the expiry. */
  action: 'add' | 'update' | 'remove' | 'expire';
  /** `include` or `exclude`; `import:<job>` for a bulk change. */
  source: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  expires_at: string | null;
  /** `user:<id>`, `key:<id>`, `anonymous` or `system`. */
  actor: string;
}

export interface UserPage {
  users: User[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

export interface UserSegments {
  segments: string[];
}

/** A receiver of the changes of a feed. */
export interface Webhook {
  /** The id of the webhook. */
  id: number;
  /** The URL that messages are posted to. It must resolve to public addresses, or to networks in `WEBHOOK_ALLOW`. */
  url: string;
  /** The id of the feed whose changes it sends. */
  feed: number;
  /** If false, only tests and replays are sent. */
  enabled: boolean;
  /** `paused`: by a call. `gone`: the receiver answered 410. `failing`: it failed for three days. */
  disabled_reason: 'paused' | 'gone' | 'failing' | null;
  /** Attempts that have failed since the last success. */
  failures: number;
  /** RFC 3339; answers use UTC with milliseconds. */
  failing_since: string | null;
  /** While it fails: when the batch is retried. */
  next_attempt_at: string | null;
  /** The age of the oldest change in the batch that is not delivered yet; 0 if there is none. */
  lag_seconds: number;
  /** Until then messages are also signed with the previous secret. */
  previous_secret_until: string | null;
  /** `user:<id>` or `key:<id>`. */
  created_by: string;
  /** RFC 3339; answers use UTC with milliseconds. */
  created_at: string;
}

export interface WebhookPage {
  webhooks: Webhook[];
  /** For the next page; null on the last one. */
  next_cursor: string | null;
}

/** Every call of the service, grouped as the documentation groups them. */
export interface Api {
  readonly auth: {
    /** Open a session. `POST /auth/sign-in` */
    signIn(
      input: CallOptions & {
        readonly body: {
          readonly username: string;
          readonly password: string;
        };
      },
    ): Promise<{
      /** For `Authorization: Bearer …`, 12 hours unless configured. */
      token: string;
    }>;
    /** Create an account and its user. `POST /auth/sign-up` */
    signUp(
      input: CallOptions & {
        readonly body: {
          /** For people to read. */
          readonly name: string;
          /** Unique without regard to case. */
          readonly username: string;
          /** Taken verbatim. In production 8–128 characters and not a common password, in evaluation mode 1–128. */
          readonly password: string;
        };
      },
    ): Promise<{
      /** The id of a user. */
      id: number;
    }>;
    /** End this session. `POST /auth/sign-out` */
    signOut(input?: CallOptions): Promise<void>;
    /** Who this token belongs to. `GET /auth/me` */
    me(input?: CallOptions): Promise<Me>;
    /** Change the password; every other session of the account ends. `POST /auth/password` */
    changePassword(
      input: CallOptions & {
        readonly body: {
          readonly current_password: string;
          /** Taken verbatim. In production 8–128 characters and not a common password, in evaluation mode 1–128. */
          readonly new_password: string;
        };
      },
    ): Promise<void>;
  };
  readonly segments: {
    /** Create a segment. `POST /api/segments` */
    createSegment(
      input: CallOptions & {
        readonly body: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
          /** For people to read. */
          readonly description?: string | null | undefined;
          /** A repeated tag counts once. */
          readonly tags?: readonly string[] | null | undefined;
          /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
          readonly percentage?: number | null | undefined;
          /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
          readonly condition?: Readonly<Record<string, unknown>> | null | undefined;
          /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
          readonly bucket_by?: string | null | undefined;
          readonly ramp?: Ramp | null | undefined;
          readonly layer?: LayerRange | null | undefined;
          /** The segment has no members before this time, regardless of overrides and rule. */
          readonly active_from?: string | null | undefined;
          /** The segment has no members from this time on, regardless of overrides and rule. */
          readonly active_until?: string | null | undefined;
        };
      },
    ): Promise<{
      id: number;
    }>;
    /** Segments by slug; `query` searches in slug and description, case-insensitively. `GET /api/segments` */
    readonly listSegments: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** A part of the slug or the description, case-insensitive. */
                readonly query?: string | undefined;
                /** Only segments with this tag. */
                readonly tag?: string | undefined;
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      SegmentPage,
      'segments'
    >;
    /** One segment; its version is also the ETag. `GET /api/segments/{slug}` */
    readSegment(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<SegmentWithUses>;
    /** Change a segment; absent keeps, null clears; `If-Match: "<version>"` guards against concurrent changes. `PATCH /api/segments/{slug}` */
    changeSegment(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
        readonly body: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug?: string | undefined;
          /** For people to read. */
          readonly description?: string | null | undefined;
          /** A repeated tag counts once. */
          readonly tags?: readonly string[] | null | undefined;
          /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
          readonly percentage?: number | null | undefined;
          /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
          readonly condition?: Readonly<Record<string, unknown>> | null | undefined;
          /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
          readonly bucket_by?: string | null | undefined;
          readonly ramp?: Ramp | null | undefined;
          readonly layer?: LayerRange | null | undefined;
          /** The segment has no members before this time, regardless of overrides and rule. */
          readonly active_from?: string | null | undefined;
          /** The segment has no members from this time on, regardless of overrides and rule. */
          readonly active_until?: string | null | undefined;
        };
      },
    ): Promise<Segment>;
    /** Delete a segment, at once for every reader. `DELETE /api/segments/{slug}` */
    deleteSegment(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<Done>;
    /** Create, replace and delete many definitions, all or nothing. `POST /api/definitions/apply` */
    applyDefinitions(
      input: CallOptions & {
        readonly body: {
          /** Layers to create. */
          readonly layers?: readonly string[] | undefined;
          readonly segments?:
            | readonly {
                /** The name of a segment: case-sensitive, unique among those that are not deleted. */
                readonly slug: string;
                /** The version that is replaced; null: the segment must not exist. */
                readonly version: number | null;
                /** For people to read. */
                readonly description?: string | null | undefined;
                /** A repeated tag counts once. */
                readonly tags?: readonly string[] | null | undefined;
                /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
                readonly percentage?: number | null | undefined;
                /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
                readonly condition?: Readonly<Record<string, unknown>> | null | undefined;
                /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
                readonly bucket_by?: string | null | undefined;
                readonly ramp?: Ramp | null | undefined;
                readonly layer?: LayerRange | null | undefined;
                /** The segment has no members before this time, regardless of overrides and rule. */
                readonly active_from?: string | null | undefined;
                /** The segment has no members from this time on, regardless of overrides and rule. */
                readonly active_until?: string | null | undefined;
              }[]
            | undefined;
          readonly delete?:
            | readonly {
                /** The name of a segment: case-sensitive, unique among those that are not deleted. */
                readonly slug: string;
                readonly version: number;
              }[]
            | undefined;
        };
      },
    ): Promise<{
      /** The new versions of the given segments, by slug. */
      versions: Record<string, number>;
    }>;
    /** All members now, by override or by rule, ordered by id. `GET /api/segments/{slug}/users` */
    readonly listMembers: Paged<
      [
        input: CallOptions & {
          readonly params: {
            /** The name of a segment: case-sensitive, unique among those that are not deleted. */
            readonly slug: string;
          };
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      MemberPage,
      'users'
    >;
    /** The exact number of members now. `GET /api/segments/{slug}/count` */
    countMembers(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<{
      count: number;
    }>;
    /** The users that a definition would cover; stores nothing. `POST /api/segments/preview` */
    previewSegment(
      input: CallOptions & {
        readonly body: {
          /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
          readonly percentage?: number | null | undefined;
          /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
          readonly condition?: Readonly<Record<string, unknown>> | null | undefined;
          /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
          readonly bucket_by?: string | null | undefined;
          readonly ramp?: Ramp | null | undefined;
          readonly layer?: LayerRange | null | undefined;
          /** The segment has no members before this time, regardless of overrides and rule. */
          readonly active_from?: string | null | undefined;
          /** The segment has no members from this time on, regardless of overrides and rule. */
          readonly active_until?: string | null | undefined;
        };
      },
    ): Promise<Preview>;
    /** The users who would enter and leave by a change; absent keeps, null clears; stores nothing. `POST /api/segments/{slug}/preview` */
    previewChange(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
        readonly body: {
          /** A share of the users, with at most three decimals. See [percentages](docs/percentage.md). */
          readonly percentage?: number | null | undefined;
          /** A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md). */
          readonly condition?: Readonly<Record<string, unknown>> | null | undefined;
          /** A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user. */
          readonly bucket_by?: string | null | undefined;
          readonly ramp?: Ramp | null | undefined;
          readonly layer?: LayerRange | null | undefined;
          /** The segment has no members before this time, regardless of overrides and rule. */
          readonly active_from?: string | null | undefined;
          /** The segment has no members from this time on, regardless of overrides and rule. */
          readonly active_until?: string | null | undefined;
        };
      },
    ): Promise<ChangePreview>;
    /** The exact overlap of two to ten segments now. `POST /api/segments/overlap` */
    overlap(
      input: CallOptions & {
        readonly body: {
          /** Distinct slugs. */
          readonly segments: readonly string[];
        };
      },
    ): Promise<Overlap>;
    /** The number of members over time. `GET /api/segments/{slug}/sizes` */
    segmentSizes(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
        readonly query?:
          | {
              /** RFC 3339; answers use UTC with milliseconds. */
              readonly from?: string | undefined;
              /** RFC 3339; answers use UTC with milliseconds. */
              readonly to?: string | undefined;
              /** The maximum number of points. */
              readonly points?: number | undefined;
            }
          | undefined;
      },
    ): Promise<Sizes>;
    /** Changes of the definition, newest first. `GET /api/segments/{slug}/history` */
    readonly segmentHistory: Paged<
      [
        input: CallOptions & {
          readonly params: {
            /** The name of a segment: case-sensitive, unique among those that are not deleted. */
            readonly slug: string;
          };
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      {
        events: SegmentEvent[];
        /** For the next page; null on the last one. */
        next_cursor: string | null;
      },
      'events'
    >;
  };
  readonly memberships: {
    /** Add a user to a segment, permanently or until a time; registers an unknown `ext:` id. `POST /api/users/{user}/segments` */
    addToSegment(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
        readonly body: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
          /** RFC 3339; answers use UTC with milliseconds. */
          readonly expires_at?: string | null | undefined;
          /** Seconds from now. */
          readonly ttl?: number | undefined;
        };
      },
    ): Promise<Done>;
    /** Remove a user from a segment. `DELETE /api/users/{user}/segments/{slug}` */
    removeFromSegment(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<Done>;
    /** Remove a user from a segment. `DELETE /api/users/{user}/{slug}` */
    removeFromSegmentShort(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<Done>;
    /** Set or drop the override of a user in a segment; registers an unknown `ext:` id. `PUT /api/users/{user}/segments/{slug}` */
    setOverride(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
        readonly body: {
          /** `auto` drops the override: the definition decides again. */
          readonly mode: 'include' | 'exclude' | 'auto';
          /** RFC 3339; answers use UTC with milliseconds. */
          readonly expires_at?: string | null | undefined;
          /** Seconds from now. */
          readonly ttl?: number | undefined;
        };
      },
    ): Promise<Done>;
    /** Add and remove several segments of a user, all or nothing; registers an unknown `ext:` id. `PATCH /api/users/{user}/segments` */
    changeSegments(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
        readonly body: {
          readonly add?:
            | readonly (
                | string
                | {
                    /** The name of a segment: case-sensitive, unique among those that are not deleted. */
                    readonly slug: string;
                    /** RFC 3339; answers use UTC with milliseconds. */
                    readonly expires_at?: string | null | undefined;
                    /** Seconds from now. */
                    readonly ttl?: number | undefined;
                  }
              )[]
            | undefined;
          readonly remove?: readonly string[] | undefined;
        };
      },
    ): Promise<Done>;
    /** Add and remove up to 1,000 users of a segment, all or nothing; registers unknown `ext:` ids in `add`. `PATCH /api/segments/{slug}/users` */
    changeMembers(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
        readonly body: {
          readonly add?:
            | readonly (
                | string
                | {
                    /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
                    readonly user: string;
                    /** RFC 3339; answers use UTC with milliseconds. */
                    readonly expires_at?: string | null | undefined;
                    /** Seconds from now. */
                    readonly ttl?: number | undefined;
                  }
              )[]
            | undefined;
          readonly remove?: readonly string[] | undefined;
        };
      },
    ): Promise<{
      added: number;
      updated: number;
      removed: number;
      unchanged: number;
    }>;
    /** The overrides of a segment that have not expired, by user; `mode` selects one kind. `GET /api/segments/{slug}/overrides` */
    readonly listOverrides: Paged<
      [
        input: CallOptions & {
          readonly params: {
            /** The name of a segment: case-sensitive, unique among those that are not deleted. */
            readonly slug: string;
          };
          readonly query?:
            | {
                /** `include`: users put in, including members of a list. `exclude`: users kept out. */
                readonly mode?: 'include' | 'exclude' | undefined;
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      {
        overrides: Override[];
        /** For the next page; null on the last one. */
        next_cursor: string | null;
      },
      'overrides'
    >;
    /** The segments a user is in, sorted by slug; `at` selects a past moment. `GET /api/users/{user}/segments` */
    listUserSegments(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
        readonly query?:
          | {
              /** A moment of the past (RFC 3339); now if left out. */
              readonly at?: string | undefined;
            }
          | undefined;
      },
    ): Promise<UserSegments>;
    /** Whether a user is in a segment, and why. `GET /api/users/{user}/segments/{slug}` */
    explainPair(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<Explanation>;
    /** The segments a user is in, with the reason of each. `GET /api/users/{user}/memberships` */
    listMemberships(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
      },
    ): Promise<{
      memberships: Membership[];
    }>;
    /** The segments of many users at once, in the order asked; `segments` narrows the answer. `POST /api/resolve` */
    resolve(
      input: CallOptions & {
        readonly body: {
          /** `2` or `ext:shopper-4` each. */
          readonly users: readonly string[];
          /** Limits the answer to these; unknown ones are ignored. */
          readonly segments?: readonly string[] | undefined;
        };
      },
    ): Promise<{
      results: Resolved[];
    }>;
  };
  readonly ofrep: {
    /** Evaluate one flag: is the user in the segment?. `POST /ofrep/v1/evaluate/flags/{flag}` */
    evaluateFlag(
      input: CallOptions & {
        readonly params: {
          /** The key of the flag: the slug of the segment. */
          readonly flag: string;
        };
        readonly body: FlagEvaluationRequest;
      },
    ): Promise<FlagEvaluation>;
    /** Evaluate all flags that the credential sees. `POST /ofrep/v1/evaluate/flags` */
    evaluateFlags(
      input: CallOptions & {
        readonly body: FlagEvaluationRequest;
      },
    ): Promise<FlagEvaluations>;
    /** Server-sent events that announce when to evaluate again. `GET /ofrep/v1/events/{stream}` */
    followFlags(
      input: CallOptions & {
        readonly params: {
          /** A signed text. */
          readonly stream: string;
        };
      },
    ): Promise<ReadableStream<Uint8Array>>;
  };
  readonly users: {
    /** The attributes of users, with types and examples, from a sample; most common first. `GET /api/attributes` */
    listAttributes(input?: CallOptions): Promise<Attributes>;
    /** Register a user. `POST /api/users` */
    createUser(
      input: CallOptions & {
        readonly body: {
          /** Opaque, immutable, unique; 1–255 bytes of UTF-8 without control characters. */
          readonly external_id?: string | null | undefined;
          /** For people to read. */
          readonly name?: string | null | undefined;
          /** A JSON object of at most 16 KiB, measured as compact JSON in UTF-8. */
          readonly attributes?: Readonly<Record<string, unknown>> | undefined;
        };
      },
    ): Promise<{
      /** The id of a user. */
      id: number;
    }>;
    /** Users by id; `query` searches in name and external id, case-insensitively. `GET /api/users` */
    readonly listUsers: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** A part of the name or the external id, case-insensitive. */
                readonly query?: string | undefined;
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      UserPage,
      'users'
    >;
    /** One user. `GET /api/users/{user}` */
    readUser(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
      },
    ): Promise<User>;
    /** Change the name, or the attributes by JSON merge patch (RFC 7396); registers an unknown `ext:` id. `PATCH /api/users/{user}` */
    changeUser(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
        readonly body: {
          /** For people to read. */
          readonly name?: string | null | undefined;
          /** A JSON object of at most 16 KiB, measured as compact JSON in UTF-8. */
          readonly attributes?: Readonly<Record<string, unknown>> | undefined;
        };
      },
    ): Promise<User>;
    /** Erase a user: deletes attributes, name, external id, overrides and account; history keeps only the id. `DELETE /api/users/{user}` */
    eraseUser(
      input: CallOptions & {
        readonly params: {
          /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
          readonly user: string;
        };
      },
    ): Promise<void>;
  };
  readonly layers: {
    /** Create a layer. `POST /api/layers` */
    createLayer(
      input: CallOptions & {
        readonly body: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<{
      id: number;
    }>;
    /** Layers, ordered by slug. `GET /api/layers` */
    readonly listLayers: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      LayerPage,
      'layers'
    >;
    /** One layer, with the segments that have a range of it. `GET /api/layers/{slug}` */
    readLayer(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<Layer>;
    /** Delete a layer that no segment uses. `DELETE /api/layers/{slug}` */
    deleteLayer(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<void>;
  };
  readonly feeds: {
    /** Follow segments, by their slugs or by tags; a feed begins at its creation. `POST /api/feeds` */
    createFeed(
      input: CallOptions & {
        readonly body: {
          /** For people to read. */
          readonly name: string;
          /** The followed segments. A renamed segment stays followed under its new slug. */
          readonly segments?: readonly string[] | undefined;
          /** Instead of `segments`: follows every segment for as long as it carries one of these. */
          readonly tags?: readonly string[] | undefined;
          /** The kinds of changes in the feed: of members, of definitions. Default all. */
          readonly types?: readonly ('entered' | 'left' | 'segment')[] | undefined;
        };
      },
    ): Promise<NewFeed>;
    /** Feeds, ordered by id. `GET /api/feeds` */
    readonly listFeeds: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      FeedPage,
      'feeds'
    >;
    /** One feed. `GET /api/feeds/{id}` */
    readFeed(
      input: CallOptions & {
        readonly params: {
          /** The id of the feed. */
          readonly id: string;
        };
      },
    ): Promise<Feed>;
    /** Change the name of a feed, what it follows, or which kinds of changes it contains. `PATCH /api/feeds/{id}` */
    changeFeed(
      input: CallOptions & {
        readonly params: {
          /** The id of the feed. */
          readonly id: string;
        };
        readonly body: {
          /** For people to read. */
          readonly name?: string | undefined;
          /** The followed segments. A renamed segment stays followed under its new slug. */
          readonly segments?: readonly string[] | undefined;
          /** Instead of `segments`: follows every segment for as long as it carries one of these. */
          readonly tags?: readonly string[] | undefined;
          /** The kinds of changes in the feed: of members, of definitions. Default all. */
          readonly types?: readonly ('entered' | 'left' | 'segment')[] | undefined;
        };
      },
    ): Promise<Feed>;
    /** Delete a feed, with its webhooks. `DELETE /api/feeds/{id}` */
    deleteFeed(
      input: CallOptions & {
        readonly params: {
          /** The id of the feed. */
          readonly id: string;
        };
      },
    ): Promise<void>;
    /** The members of the followed segments as of one moment; the last line is the cursor to continue from. `GET /api/feeds/{id}/snapshot` */
    feedSnapshot(
      input: CallOptions & {
        readonly params: {
          /** The id of the feed. */
          readonly id: string;
        };
      },
    ): Promise<ReadableStream<Uint8Array>>;
    /** The changes after a cursor, in order. `GET /api/feeds/{id}/changes` */
    feedChanges(
      input: CallOptions & {
        readonly params: {
          /** The id of the feed. */
          readonly id: string;
        };
        readonly query?:
          | {
              /** The `cursor` of the previous answer; by default the beginning. */
              readonly after?: string | undefined;
              /** How many changes an answer has at most. */
              readonly limit?: number | undefined;
              /** Seconds to wait if there is no change. */
              readonly wait?: number | undefined;
            }
          | undefined;
      },
    ): Promise<Changes>;
  };
  readonly webhooks: {
    /** Create a webhook that posts the changes of a feed to a URL; the secret is shown only once. `POST /api/webhooks` */
    createWebhook(
      input: CallOptions & {
        readonly body: {
          /** The URL that messages are posted to. It must resolve to public addresses, or to networks in `WEBHOOK_ALLOW`. */
          readonly url: string;
          /** The id of the feed whose changes it sends. */
          readonly feed: number;
          /** Signs the messages, in the form of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. */
          readonly secret?: string | undefined;
          /** A cursor of the feed to begin after. */
          readonly after?: string | undefined;
        };
      },
    ): Promise<NewWebhook>;
    /** Webhooks without their secrets, ordered by id. `GET /api/webhooks` */
    readonly listWebhooks: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      WebhookPage,
      'webhooks'
    >;
    /** One webhook, without its secret. `GET /api/webhooks/{id}` */
    readWebhook(
      input: CallOptions & {
        readonly params: {
          /** The id of the webhook. */
          readonly id: string;
        };
      },
    ): Promise<Webhook>;
    /** Change the URL; pause, or enable again. `PATCH /api/webhooks/{id}` */
    changeWebhook(
      input: CallOptions & {
        readonly params: {
          /** The id of the webhook. */
          readonly id: string;
        };
        readonly body: {
          /** The URL that messages are posted to. It must resolve to public addresses, or to networks in `WEBHOOK_ALLOW`. */
          readonly url?: string | undefined;
          /** If false, only tests and replays are sent. */
          readonly enabled?: boolean | undefined;
        };
      },
    ): Promise<Webhook>;
    /** Delete a webhook, with its deliveries. `DELETE /api/webhooks/{id}` */
    deleteWebhook(
      input: CallOptions & {
        readonly params: {
          /** The id of the webhook. */
          readonly id: string;
        };
      },
    ): Promise<void>;
    /** The messages sent to a webhook with their outcomes, newest first. `GET /api/webhooks/{id}/deliveries` */
    readonly listDeliveries: Paged<
      [
        input: CallOptions & {
          readonly params: {
            /** The id of the webhook. */
            readonly id: string;
          };
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      DeliveryPage,
      'deliveries'
    >;
    /** Send a message once more, under the same id. `POST /api/webhooks/{id}/deliveries/{delivery}/replay` */
    replayDelivery(
      input: CallOptions & {
        readonly params: {
          /** The id of the webhook. */
          readonly id: string;
          /** The id of the delivery. */
          readonly delivery: string;
        };
      },
    ): Promise<Delivery>;
    /** Send a message of the type `test`, once; its deliveries show the outcome. `POST /api/webhooks/{id}/test` */
    testWebhook(
      input: CallOptions & {
        readonly params: {
          /** The id of the webhook. */
          readonly id: string;
        };
      },
    ): Promise<Delivery>;
    /** Set a new secret, random or given; it is shown only once. `POST /api/webhooks/{id}/secret` */
    rotateSecret(
      input: CallOptions & {
        readonly params: {
          /** The id of the webhook. */
          readonly id: string;
        };
        readonly body: {
          /** Signs the messages, in the form of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. */
          readonly secret?: string | undefined;
        } | null;
      },
    ): Promise<NewSecret>;
  };
  readonly history: {
    /** Every change of the overrides of a user, newest first; `from` is included, `to` is not. `GET /api/users/{user}/history` */
    readonly userHistory: Paged<
      [
        input: CallOptions & {
          readonly params: {
            /** A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path. */
            readonly user: string;
          };
          readonly query?:
            | {
                /** The first moment that counts (RFC 3339). */
                readonly from?: string | undefined;
                /** The first moment that no longer counts (RFC 3339). */
                readonly to?: string | undefined;
                /** Only changes in this segment. */
                readonly segment?: string | undefined;
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      {
        events: UserEvent[];
        /** For the next page; null on the last one. */
        next_cursor: string | null;
      },
      'events'
    >;
    /** Every change of the overrides in a segment, newest first; `from` is included, `to` is not. `GET /api/segments/{slug}/changes` */
    readonly segmentChanges: Paged<
      [
        input: CallOptions & {
          readonly params: {
            /** The name of a segment: case-sensitive, unique among those that are not deleted. */
            readonly slug: string;
          };
          readonly query?:
            | {
                /** The first moment that counts (RFC 3339). */
                readonly from?: string | undefined;
                /** The first moment that no longer counts (RFC 3339). */
                readonly to?: string | undefined;
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      {
        changes: SegmentChange[];
        /** For the next page; null on the last one. */
        next_cursor: string | null;
      },
      'changes'
    >;
  };
  readonly reports: {
    /** Create a link to a CSV of all changes within a month (UTC), or from a time (inclusive) to a time (exclusive). `POST /api/reports` */
    createReport(
      input: CallOptions & {
        readonly body: {
          /** Instead of `from` and `to`. */
          readonly month?: string | undefined;
          /** RFC 3339; answers use UTC with milliseconds. */
          readonly from?: string | undefined;
          /** RFC 3339; answers use UTC with milliseconds. */
          readonly to?: string | undefined;
          /** Only changes of this user: `2` or `ext:shopper-4`. */
          readonly user?: string | undefined;
          /** Only changes in this segment. */
          readonly segment?: string | undefined;
        };
      },
    ): Promise<Report>;
    /** The CSV of such a link, oldest change first; the link is the credential. `GET /api/reports/{report}` */
    downloadReport(
      input: CallOptions & {
        readonly params: {
          /** The last part of the link. */
          readonly report: string;
        };
      },
    ): Promise<ReadableStream<Uint8Array>>;
  };
  readonly imports: {
    /** Add the users of a file to a segment, remove them, or make them its only members; all or nothing. `POST /api/segments/{slug}/import` */
    importMembers(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
        readonly query?:
          | {
              /** What to do with the users of the file. Default add. */
              readonly mode?: 'add' | 'remove' | 'replace' | undefined;
              /** How to treat users who do not exist. Default reject. Only external ids can be created. */
              readonly unknown?: 'create' | 'reject' | 'skip' | undefined;
              /** How to treat unknown columns or fields. Default reject. */
              readonly columns?: 'reject' | 'ignore' | undefined;
              /** Only report what would change. Default false. */
              readonly dry_run?: 'true' | 'false' | undefined;
              /** Confirms that mode=replace with a file without rows empties the segment. */
              readonly confirm?: 'empty' | undefined;
              /** For rows that name no time of their own (RFC 3339). */
              readonly expires_at?: string | undefined;
            }
          | undefined;
        readonly upload: UploadBody;
        readonly type:
          | 'text/csv'
          | 'application/x-ndjson'
          | 'application/csv'
          | 'text/tab-separated-values'
          | 'application/ndjson'
          | 'application/jsonl';
      },
    ): Promise<JobAccepted>;
    /** Register users, and change their names and attributes by merge patch; all or nothing. `POST /api/users/import` */
    importUsers(
      input: CallOptions & {
        readonly query?:
          | {
              /** How to treat users who do not exist. Default create. */
              readonly unknown?: 'create' | 'reject' | 'skip' | undefined;
              /** How to treat unknown columns or fields. Default reject. */
              readonly columns?: 'reject' | 'ignore' | undefined;
              /** Only report what would change. Default false. */
              readonly dry_run?: 'true' | 'false' | undefined;
            }
          | undefined;
        readonly upload: UploadBody;
        readonly type:
          | 'text/csv'
          | 'application/x-ndjson'
          | 'application/csv'
          | 'text/tab-separated-values'
          | 'application/ndjson'
          | 'application/jsonl';
      },
    ): Promise<JobAccepted>;
    /** All members of a segment now, by id, as a file that can be imported again; CSV unless NDJSON is accepted. `GET /api/segments/{slug}/export` */
    exportMembers(
      input: CallOptions & {
        readonly params: {
          /** The name of a segment: case-sensitive, unique among those that are not deleted. */
          readonly slug: string;
        };
      },
    ): Promise<ReadableStream<Uint8Array>>;
  };
  readonly jobs: {
    /** Jobs, newest first. `GET /api/jobs` */
    readonly listJobs: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** Only jobs in this state. */
                readonly state?: 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | undefined;
                /** Only jobs of this kind. */
                readonly kind?: string | undefined;
                /** Only jobs that concern this segment; for a deleted one, its last slug. */
                readonly segment?: string | undefined;
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      {
        jobs: JobEntry[];
        /** For the next page; null on the last one. */
        next_cursor: string | null;
      },
      'jobs'
    >;
    /** The progress and outcome of a job. `GET /api/jobs/{id}` */
    readJob(
      input: CallOptions & {
        readonly params: {
          /** The id of the job. */
          readonly id: string;
        };
      },
    ): Promise<Job>;
    /** A job as server-sent events, one for each change, until it ends. `GET /api/jobs/{id}/events` */
    followJob(
      input: CallOptions & {
        readonly params: {
          /** The id of the job. */
          readonly id: string;
        };
      },
    ): Promise<ReadableStream<Uint8Array>>;
    /** Cancel a job that has not ended: it has no effect. `DELETE /api/jobs/{id}` */
    cancelJob(
      input: CallOptions & {
        readonly params: {
          /** The id of the job. */
          readonly id: string;
        };
      },
    ): Promise<Job>;
    /** Undo an import: restore the previous state of each user it changed, unless changed since; as another job. `POST /api/jobs/{id}/undo` */
    undoJob(
      input: CallOptions & {
        readonly params: {
          /** The id of the import. */
          readonly id: string;
        };
        readonly query?:
          | {
              /** Only report what would change. Default false. */
              readonly dry_run?: 'true' | 'false' | undefined;
            }
          | undefined;
      },
    ): Promise<{
      /** Its id: `GET /api/jobs/{id}` reports its progress. */
      job: string;
    }>;
  };
  readonly keys: {
    /** Create an API key, which is shown only once. `POST /api/keys` */
    createKey(
      input: CallOptions & {
        readonly body: {
          /** For people to read. */
          readonly name: string;
          /** The permissions of the key. `browser` can only evaluate flags over OFREP. */
          readonly role: 'viewer' | 'editor' | 'browser';
          /** The key sees and changes only segments that carry one of these. Required for a browser key. */
          readonly tags?: readonly string[] | null | undefined;
          /** For a browser key: the only origins it is accepted from, such as `https://shop.example`. */
          readonly origins?: readonly string[] | null | undefined;
          /** RFC 3339; answers use UTC with milliseconds. */
          readonly expires_at?: string | null | undefined;
        };
      },
    ): Promise<NewKey>;
    /** API keys without their secrets, ordered by id. `GET /api/keys` */
    readonly listKeys: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      KeyPage,
      'keys'
    >;
    /** Revoke an API key. `DELETE /api/keys/{id}` */
    revokeKey(
      input: CallOptions & {
        readonly params: {
          /** The id of the key. */
          readonly id: string;
        };
      },
    ): Promise<void>;
  };
  readonly accounts: {
    /** Accounts, ordered by id. `GET /api/accounts` */
    readonly listAccounts: Paged<
      [
        input?: CallOptions & {
          readonly query?:
            | {
                /** The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`. */
                readonly limit?: number | undefined;
                /** The `next_cursor` of the previous page; omitted for the first page. */
                readonly cursor?: string | undefined;
              }
            | undefined;
        },
      ],
      AccountPage,
      'accounts'
    >;
    /** Change the role of an account, disable or enable it. `PATCH /api/accounts/{id}` */
    changeAccount(
      input: CallOptions & {
        readonly params: {
          /** The id of the account. */
          readonly id: string;
        };
        readonly body: {
          /** The permissions of the account. Each role includes the ones before it: member, viewer, editor, admin. */
          readonly role?: 'member' | 'viewer' | 'editor' | 'admin' | undefined;
          readonly disabled?: boolean | undefined;
        };
      },
    ): Promise<Account>;
  };
  readonly console: {
    /** Open a session of the console. `POST /ui/session` */
    openSession(
      input: CallOptions & {
        readonly body: {
          readonly username: string;
          readonly password: string;
        };
      },
    ): Promise<void>;
    /** End the session of the console. `DELETE /ui/session` */
    closeSession(input?: CallOptions): Promise<void>;
  };
}

export const calls = {
  auth: {
    signIn: { id: 'signIn', method: 'POST', path: '/auth/sign-in', answers: 'json' },
    signUp: { id: 'signUp', method: 'POST', path: '/auth/sign-up', answers: 'json' },
    signOut: { id: 'signOut', method: 'POST', path: '/auth/sign-out', answers: 'nothing' },
    me: { id: 'me', method: 'GET', path: '/auth/me', answers: 'json', repeatable: true },
    changePassword: { id: 'changePassword', method: 'POST', path: '/auth/password', answers: 'nothing' },
  },
  segments: {
    createSegment: { id: 'createSegment', method: 'POST', path: '/api/segments', answers: 'json', creates: true },
    listSegments: {
      id: 'listSegments',
      method: 'GET',
      path: '/api/segments',
      answers: 'json',
      repeatable: true,
      entries: 'segments',
    },
    readSegment: { id: 'readSegment', method: 'GET', path: '/api/segments/{slug}', answers: 'json', repeatable: true },
    changeSegment: { id: 'changeSegment', method: 'PATCH', path: '/api/segments/{slug}', answers: 'json' },
    deleteSegment: {
      id: 'deleteSegment',
      method: 'DELETE',
      path: '/api/segments/{slug}',
      answers: 'json',
      repeatable: true,
    },
    applyDefinitions: { id: 'applyDefinitions', method: 'POST', path: '/api/definitions/apply', answers: 'json' },
    listMembers: {
      id: 'listMembers',
      method: 'GET',
      path: '/api/segments/{slug}/users',
      answers: 'json',
      repeatable: true,
      entries: 'users',
    },
    countMembers: {
      id: 'countMembers',
      method: 'GET',
      path: '/api/segments/{slug}/count',
      answers: 'json',
      repeatable: true,
    },
    previewSegment: {
      id: 'previewSegment',
      method: 'POST',
      path: '/api/segments/preview',
      answers: 'json',
      repeatable: true,
    },
    previewChange: {
      id: 'previewChange',
      method: 'POST',
      path: '/api/segments/{slug}/preview',
      answers: 'json',
      repeatable: true,
    },
    overlap: { id: 'overlap', method: 'POST', path: '/api/segments/overlap', answers: 'json', repeatable: true },
    segmentSizes: {
      id: 'segmentSizes',
      method: 'GET',
      path: '/api/segments/{slug}/sizes',
      answers: 'json',
      repeatable: true,
    },
    segmentHistory: {
      id: 'segmentHistory',
      method: 'GET',
      path: '/api/segments/{slug}/history',
      answers: 'json',
      repeatable: true,
      entries: 'events',
    },
  },
  memberships: {
    addToSegment: { id: 'addToSegment', method: 'POST', path: '/api/users/{user}/segments', answers: 'json' },
    removeFromSegment: {
      id: 'removeFromSegment',
      method: 'DELETE',
      path: '/api/users/{user}/segments/{slug}',
      answers: 'json',
      repeatable: true,
    },
    removeFromSegmentShort: {
      id: 'removeFromSegmentShort',
      method: 'DELETE',
      path: '/api/users/{user}/{slug}',
      answers: 'json',
      repeatable: true,
    },
    setOverride: {
      id: 'setOverride',
      method: 'PUT',
      path: '/api/users/{user}/segments/{slug}',
      answers: 'json',
      repeatable: true,
    },
    changeSegments: { id: 'changeSegments', method: 'PATCH', path: '/api/users/{user}/segments', answers: 'json' },
    changeMembers: {
      id: 'changeMembers',
      method: 'PATCH',
      path: '/api/segments/{slug}/users',
      answers: 'json',
      creates: true,
    },
    listOverrides: {
      id: 'listOverrides',
      method: 'GET',
      path: '/api/segments/{slug}/overrides',
      answers: 'json',
      repeatable: true,
      entries: 'overrides',
    },
    listUserSegments: {
      id: 'listUserSegments',
      method: 'GET',
      path: '/api/users/{user}/segments',
      answers: 'json',
      repeatable: true,
    },
    explainPair: {
      id: 'explainPair',
      method: 'GET',
      path: '/api/users/{user}/segments/{slug}',
      answers: 'json',
      repeatable: true,
    },
    listMemberships: {
      id: 'listMemberships',
      method: 'GET',
      path: '/api/users/{user}/memberships',
      answers: 'json',
      repeatable: true,
    },
    resolve: { id: 'resolve', method: 'POST', path: '/api/resolve', answers: 'json', repeatable: true },
  },
  ofrep: {
    evaluateFlag: { id: 'evaluateFlag', method: 'POST', path: '/ofrep/v1/evaluate/flags/{flag}', answers: 'json' },
    evaluateFlags: { id: 'evaluateFlags', method: 'POST', path: '/ofrep/v1/evaluate/flags', answers: 'json' },
    followFlags: {
      id: 'followFlags',
      method: 'GET',
      path: '/ofrep/v1/events/{stream}',
      answers: 'stream',
      repeatable: true,
    },
  },
  users: {
    listAttributes: { id: 'listAttributes', method: 'GET', path: '/api/attributes', answers: 'json', repeatable: true },
    createUser: { id: 'createUser', method: 'POST', path: '/api/users', answers: 'json', creates: true },
    listUsers: {
      id: 'listUsers',
      method: 'GET',
      path: '/api/users',
      answers: 'json',
      repeatable: true,
      entries: 'users',
    },
    readUser: { id: 'readUser', method: 'GET', path: '/api/users/{user}', answers: 'json', repeatable: true },
    changeUser: { id: 'changeUser', method: 'PATCH', path: '/api/users/{user}', answers: 'json' },
    eraseUser: { id: 'eraseUser', method: 'DELETE', path: '/api/users/{user}', answers: 'nothing', repeatable: true },
  },
  layers: {
    createLayer: { id: 'createLayer', method: 'POST', path: '/api/layers', answers: 'json', creates: true },
    listLayers: {
      id: 'listLayers',
      method: 'GET',
      path: '/api/layers',
      answers: 'json',
      repeatable: true,
      entries: 'layers',
    },
    readLayer: { id: 'readLayer', method: 'GET', path: '/api/layers/{slug}', answers: 'json', repeatable: true },
    deleteLayer: {
      id: 'deleteLayer',
      method: 'DELETE',
      path: '/api/layers/{slug}',
      answers: 'nothing',
      repeatable: true,
    },
  },
  feeds: {
    createFeed: { id: 'createFeed', method: 'POST', path: '/api/feeds', answers: 'json', creates: true },
    listFeeds: {
      id: 'listFeeds',
      method: 'GET',
      path: '/api/feeds',
      answers: 'json',
      repeatable: true,
      entries: 'feeds',
    },
    readFeed: { id: 'readFeed', method: 'GET', path: '/api/feeds/{id}', answers: 'json', repeatable: true },
    changeFeed: { id: 'changeFeed', method: 'PATCH', path: '/api/feeds/{id}', answers: 'json' },
    deleteFeed: { id: 'deleteFeed', method: 'DELETE', path: '/api/feeds/{id}', answers: 'nothing', repeatable: true },
    feedSnapshot: {
      id: 'feedSnapshot',
      method: 'GET',
      path: '/api/feeds/{id}/snapshot',
      answers: 'stream',
      repeatable: true,
    },
    feedChanges: {
      id: 'feedChanges',
      method: 'GET',
      path: '/api/feeds/{id}/changes',
      answers: 'json',
      repeatable: true,
    },
  },
  webhooks: {
    createWebhook: { id: 'createWebhook', method: 'POST', path: '/api/webhooks', answers: 'json', creates: true },
    listWebhooks: {
      id: 'listWebhooks',
      method: 'GET',
      path: '/api/webhooks',
      answers: 'json',
      repeatable: true,
      entries: 'webhooks',
    },
    readWebhook: { id: 'readWebhook', method: 'GET', path: '/api/webhooks/{id}', answers: 'json', repeatable: true },
    changeWebhook: { id: 'changeWebhook', method: 'PATCH', path: '/api/webhooks/{id}', answers: 'json' },
    deleteWebhook: {
      id: 'deleteWebhook',
      method: 'DELETE',
      path: '/api/webhooks/{id}',
      answers: 'nothing',
      repeatable: true,
    },
    listDeliveries: {
      id: 'listDeliveries',
      method: 'GET',
      path: '/api/webhooks/{id}/deliveries',
      answers: 'json',
      repeatable: true,
      entries: 'deliveries',
    },
    replayDelivery: {
      id: 'replayDelivery',
      method: 'POST',
      path: '/api/webhooks/{id}/deliveries/{delivery}/replay',
      answers: 'json',
    },
    testWebhook: { id: 'testWebhook', method: 'POST', path: '/api/webhooks/{id}/test', answers: 'json' },
    rotateSecret: { id: 'rotateSecret', method: 'POST', path: '/api/webhooks/{id}/secret', answers: 'json' },
  },
  history: {
    userHistory: {
      id: 'userHistory',
      method: 'GET',
      path: '/api/users/{user}/history',
      answers: 'json',
      repeatable: true,
      entries: 'events',
    },
    segmentChanges: {
      id: 'segmentChanges',
      method: 'GET',
      path: '/api/segments/{slug}/changes',
      answers: 'json',
      repeatable: true,
      entries: 'changes',
    },
  },
  reports: {
    createReport: { id: 'createReport', method: 'POST', path: '/api/reports', answers: 'json', creates: true },
    downloadReport: {
      id: 'downloadReport',
      method: 'GET',
      path: '/api/reports/{report}',
      answers: 'stream',
      repeatable: true,
    },
  },
  imports: {
    importMembers: {
      id: 'importMembers',
      method: 'POST',
      path: '/api/segments/{slug}/import',
      answers: 'json',
      creates: true,
    },
    importUsers: { id: 'importUsers', method: 'POST', path: '/api/users/import', answers: 'json', creates: true },
    exportMembers: {
      id: 'exportMembers',
      method: 'GET',
      path: '/api/segments/{slug}/export',
      answers: 'stream',
      repeatable: true,
    },
  },
  jobs: {
    listJobs: { id: 'listJobs', method: 'GET', path: '/api/jobs', answers: 'json', repeatable: true, entries: 'jobs' },
    readJob: { id: 'readJob', method: 'GET', path: '/api/jobs/{id}', answers: 'json', repeatable: true },
    followJob: { id: 'followJob', method: 'GET', path: '/api/jobs/{id}/events', answers: 'stream', repeatable: true },
    cancelJob: { id: 'cancelJob', method: 'DELETE', path: '/api/jobs/{id}', answers: 'json', repeatable: true },
    undoJob: { id: 'undoJob', method: 'POST', path: '/api/jobs/{id}/undo', answers: 'json', creates: true },
  },
  keys: {
    createKey: { id: 'createKey', method: 'POST', path: '/api/keys', answers: 'json', creates: true },
    listKeys: { id: 'listKeys', method: 'GET', path: '/api/keys', answers: 'json', repeatable: true, entries: 'keys' },
    revokeKey: { id: 'revokeKey', method: 'DELETE', path: '/api/keys/{id}', answers: 'nothing', repeatable: true },
  },
  accounts: {
    listAccounts: {
      id: 'listAccounts',
      method: 'GET',
      path: '/api/accounts',
      answers: 'json',
      repeatable: true,
      entries: 'accounts',
    },
    changeAccount: { id: 'changeAccount', method: 'PATCH', path: '/api/accounts/{id}', answers: 'json' },
  },
  console: {
    openSession: { id: 'openSession', method: 'POST', path: '/ui/session', answers: 'nothing' },
    closeSession: { id: 'closeSession', method: 'DELETE', path: '/ui/session', answers: 'nothing', repeatable: true },
  },
} as const satisfies Readonly<Record<keyof Api, Readonly<Record<string, CallShape>>>>;
