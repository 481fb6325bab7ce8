import type {
  accounts,
  attributes,
  auth,
  console,
  history,
  jobs,
  keys,
  layers,
  memberships,
  reports,
  segments,
  users,
} from '@kohort/contract';
import { endpoint } from './call.ts';

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
  createKey: endpoint<typeof keys.createKey>('POST', '/api/keys'),
  revokeKey: endpoint<typeof keys.revokeKey>('DELETE', '/api/keys/{id}'),

  listSegments: endpoint<typeof segments.listSegments>('GET', '/api/segments'),
  readSegment: endpoint<typeof segments.readSegment>('GET', '/api/segments/{slug}'),
  createSegment: endpoint<typeof segments.createSegment>('POST', '/api/segments'),
  changeSegment: endpoint<typeof segments.changeSegment>('PATCH', '/api/segments/{slug}'),
  deleteSegment: endpoint<typeof segments.deleteSegment>('DELETE', '/api/segments/{slug}'),
  listMembers: endpoint<typeof segments.listMembers>('GET', '/api/segments/{slug}/users'),
  countMembers: endpoint<typeof segments.countMembers>('GET', '/api/segments/{slug}/count'),
  segmentHistory: endpoint<typeof segments.segmentHistory>('GET', '/api/segments/{slug}/history'),
  preview: endpoint<typeof segments.previewSegment>('POST', '/api/segments/preview'),
  previewChange: endpoint<typeof segments.previewChange>('POST', '/api/segments/{slug}/preview'),
  attributes: endpoint<typeof attributes.listAttributes>('GET', '/api/attributes'),
  sizes: endpoint<typeof segments.segmentSizes>('GET', '/api/segments/{slug}/sizes'),
  overlap: endpoint<typeof segments.overlap>('POST', '/api/segments/overlap'),
  changeMembers: endpoint<typeof memberships.changeMembers>('PATCH', '/api/segments/{slug}/users'),
  createReport: endpoint<typeof reports.createReport>('POST', '/api/reports'),

  addToSegment: endpoint<typeof memberships.addToSegment>('POST', '/api/users/{user}/segments'),
  removeFromSegment: endpoint<typeof memberships.removeFromSegment>('DELETE', '/api/users/{user}/segments/{slug}'),
  setOverride: endpoint<typeof memberships.setOverride>('PUT', '/api/users/{user}/segments/{slug}'),
  explainPair: endpoint<typeof memberships.explainPair>('GET', '/api/users/{user}/segments/{slug}'),
  listMemberships: endpoint<typeof memberships.listMemberships>('GET', '/api/users/{user}/memberships'),
  listUserSegments: endpoint<typeof memberships.listUserSegments>('GET', '/api/users/{user}/segments'),
  resolve: endpoint<typeof memberships.resolve>('POST', '/api/resolve'),
  userHistory: endpoint<typeof history.userHistory>('GET', '/api/users/{user}/history'),

  listUsers: endpoint<typeof users.listUsers>('GET', '/api/users'),
  createUser: endpoint<typeof users.createUser>('POST', '/api/users'),
  readUser: endpoint<typeof users.readUser>('GET', '/api/users/{user}'),
  changeUser: endpoint<typeof users.changeUser>('PATCH', '/api/users/{user}'),
  eraseUser: endpoint<typeof users.eraseUser>('DELETE', '/api/users/{user}'),

  listLayers: endpoint<typeof layers.listLayers>('GET', '/api/layers'),
  createLayer: endpoint<typeof layers.createLayer>('POST', '/api/layers'),
  deleteLayer: endpoint<typeof layers.deleteLayer>('DELETE', '/api/layers/{slug}'),

  readJob: endpoint<typeof jobs.readJob>('GET', '/api/jobs/{id}'),
  cancelJob: endpoint<typeof jobs.cancelJob>('DELETE', '/api/jobs/{id}'),
  undoJob: endpoint<typeof jobs.undoJob>('POST', '/api/jobs/{id}/undo'),
} as const;
