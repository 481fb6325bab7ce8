/** The chapters of the documentation, in the order a newcomer needs them. */
export const tags: Readonly<Record<string, string>> = {
  auth: 'Accounts sign in and get the token that most calls need.',
  segments: 'What segments there are: lists, shares, conditions. Who is in one, how many, and who would be.',
  memberships: 'Which segments a user is in, and why; putting users in and keeping them out.',
  ofrep: 'Segments as flags, over the OpenFeature Remote Evaluation Protocol.',
  users: 'Whom segments are about: external ids, names and attributes.',
  layers: 'Segments that exclude one another: each takes a range of the users of its layer.',
  feeds: 'Who enters and leaves the segments that are followed: all who are in, and every change after that.',
  webhooks: 'Receivers that the changes of a feed are posted to, signed as Standard Webhooks.',
  history: 'What happened to a user, or in a segment.',
  reports: 'What happened within a time, as CSV behind a link.',
  imports: 'Many users at once, from and to files.',
  jobs: 'What takes longer than a call: how far it is, and what came of it.',
  keys: 'Credentials for programs.',
  accounts: 'Who can sign in, and what they may do.',
  console: 'The session of the console, which browsers keep as a cookie.',
};

const names = Object.keys(tags);

/** The position of a chapter; unlisted ones come last. */
export function placeOf(tag: string): number {
  const place = names.indexOf(tag);
  return place === -1 ? names.length : place;
}
