import type {
  accounts,
  attributes,
  auth,
  console,
  history,
  jobs,
  keys,
  memberships,
  reports,
  segments,
  users,
} from '@kohort/contract';
import { endpoint, type RawInput, untyped } from './call.ts';
import type * as later from './later.ts';

/** Every call the console makes. */
export const api = {
  me: endpoint<typeof auth.me>('GET', '/auth/me'),
  changePassword: endpoint<typeof auth.changePassword>('POST', '/auth/password'),
  openSession: endpoint<typeof console.openSession>('POST', '/ui/session'),
  closeSession: endpoint<typeof console.closeSession>('DELETE', '/ui/session'),

  listAccounts: endpoint<typeof accounts.listAccounts>('GET', '/api/accounts'),
  changeAccount: endpoint<typeof accounts.changeAccount>('PATCH', '/api/accounts/{id}'),
  signUp: endpoint<typeof auth.signUp>('POST', '/auth/sign-up'),
  listKeys: endpoint<typeof keys.listKeys>('GET', '/api/keys'),
  createKey: untyped<RawInput & { body: later.NewKey }, later.CreatedKey>('POST', '/api/keys'),
  revokeKey: endpoint<typeof keys.revokeKey>('DELETE', '/api/keys/{id}'),

  listSegments: endpoint<typeof segments.listSegments>('GET', '/api/segments'),
  readSegment: untyped<RawInput & { params: { slug: string } }, later.Segment>('GET', '/api/segments/{slug}'),
  createSegment: untyped<RawInput & { body: later.SegmentBody & { slug: string } }, { id: number }>(
    'POST',
    '/api/segments',
  ),
  changeSegment: untyped<RawInput & { params: { slug: string }; body: later.SegmentBody }, later.Segment>(
    'PATCH',
    '/api/segments/{slug}',
  ),
  deleteSegment: endpoint<typeof segments.deleteSegment>('DELETE', '/api/segments/{slug}'),
  listMembers: endpoint<typeof segments.listMembers>('GET', '/api/segments/{slug}/users'),
  countMembers: endpoint<typeof segments.countMembers>('GET', '/api/segments/{slug}/count'),
  segmentHistory: untyped<RawInput & { params: { slug: string } }, later.Versions>(
    'GET',
    '/api/segments/{slug}/history',
  ),
  preview: untyped<RawInput & { body: later.Rule }, later.Preview>('POST', '/api/segments/preview'),
  previewChange: untyped<RawInput & { params: { slug: string }; body: later.Rule }, later.Change>(
    'POST',
    '/api/segments/{slug}/preview',
  ),
  attributes: endpoint<typeof attributes.listAttributes>('GET', '/api/attributes'),
  sizes: endpoint<typeof segments.segmentSizes>('GET', '/api/segments/{slug}/sizes'),
  overlap: endpoint<typeof segments.overlap>('POST', '/api/segments/overlap'),
  changeMembers: endpoint<typeof memberships.changeMembers>('PATCH', '/api/segments/{slug}/users'),
  createReport: endpoint<typeof reports.createReport>('POST', '/api/reports'),

  addToSegment: endpoint<typeof memberships.addToSegment>('POST', '/api/users/{user}/segments'),
  removeFromSegment: endpoint<typeof memberships.removeFromSegment>('DELETE', '/api/users/{user}/segments/{slug}'),
  setOverride: endpoint<typeof memberships.setOverride>('PUT', '/api/users/{user}/segments/{slug}'),
  explainPair: untyped<RawInput & { params: { user: string; slug: string } }, later.Why>(
    'GET',
    '/api/users/{user}/segments/{slug}',
  ),
  listMemberships: endpoint<typeof memberships.listMemberships>('GET', '/api/users/{user}/memberships'),
  listUserSegments: endpoint<typeof memberships.listUserSegments>('GET', '/api/users/{user}/segments'),
  resolve: endpoint<typeof memberships.resolve>('POST', '/api/resolve'),
  userHistory: endpoint<typeof history.userHistory>('GET', '/api/users/{user}/history'),

  listUsers: endpoint<typeof users.listUsers>('GET', '/api/users'),
  createUser: endpoint<typeof users.createUser>('POST', '/api/users'),
  readUser: endpoint<typeof users.readUser>('GET', '/api/users/{user}'),
  changeUser: endpoint<typeof users.changeUser>('PATCH', '/api/users/{user}'),
  eraseUser: endpoint<typeof users.eraseUser>('DELETE', '/api/users/{user}'),

  listLayers: untyped<RawInput, later.Layers>('GET', '/api/layers'),
  readLayer: untyped<RawInput & { params: { slug: string } }, later.Layer>('GET', '/api/layers/{slug}'),
  createLayer: untyped<RawInput & { body: { slug: string } }, { id: number }>('POST', '/api/layers'),
  deleteLayer: untyped<RawInput & { params: { slug: string } }, undefined>('DELETE', '/api/layers/{slug}'),

  readJob: endpoint<typeof jobs.readJob>('GET', '/api/jobs/{id}'),
  cancelJob: endpoint<typeof jobs.cancelJob>('DELETE', '/api/jobs/{id}'),
  undoJob: endpoint<typeof jobs.undoJob>('POST', '/api/jobs/{id}/undo'),
} as const;
