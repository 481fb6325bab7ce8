import type {
  Answer,
  accounts,
  attributes,
  Body,
  feeds,
  history,
  jobs,
  keys,
  layers,
  memberships,
  segments,
  users,
  webhooks,
} from '@kohort/contract';

/** The parts of the contract's answers that the console uses by name. */
export type Listed = Answer<typeof segments.listSegments>['segments'][number];
export type Segment = Answer<typeof segments.readSegment>;
export type Version = Answer<typeof segments.segmentHistory>['events'][number];
export type VersionState = NonNullable<Version['after']>;
export type Preview = Answer<typeof segments.previewSegment>;
export type Change = Answer<typeof segments.previewChange>;
export type Warning = Preview['warnings'][number];
export type Sizes = Answer<typeof segments.segmentSizes>;
export type Overlap = Answer<typeof segments.overlap>;
export type Attribute = Answer<typeof attributes.listAttributes>['attributes'][number];
export type Layer = Answer<typeof layers.listLayers>['layers'][number];
export type LayerRange = Layer['segments'][number];

export type User = Answer<typeof users.readUser>;
export type Member = Answer<typeof segments.listMembers>['users'][number];
export type Source = Member['source'];
export type Membership = Answer<typeof memberships.listMemberships>['memberships'][number];

export type Account = Answer<typeof accounts.listAccounts>['accounts'][number];
export type NewKey = Body<typeof keys.createKey>;
export type Key = Answer<typeof keys.listKeys>['keys'][number];
export type Job = Answer<typeof jobs.readJob>;
export type JobEntry = Answer<typeof jobs.listJobs>['jobs'][number];
export type Override = Answer<typeof memberships.listOverrides>['overrides'][number];
export type SegmentChange = Answer<typeof history.segmentChanges>['changes'][number];
export type Feed = Answer<typeof feeds.readFeed>;
export type FeedChange = Answer<typeof feeds.feedChanges>['changes'][number];
export type Webhook = Answer<typeof webhooks.readWebhook>;
export type Delivery = Answer<typeof webhooks.listDeliveries>['deliveries'][number];
export type UserEvent = Answer<typeof history.userHistory>['events'][number];

type RuleField = 'percentage' | 'condition' | 'bucket_by' | 'ramp' | 'layer' | 'active_from' | 'active_until';

/** The rule of a segment: everything that decides its members apart from overrides. */
export type Rule = Readonly<Partial<Pick<Segment, RuleField>>>;
export type SegmentBody = Rule & {
  readonly slug?: string;
  readonly description?: string | null;
  readonly tags?: readonly string[];
};
