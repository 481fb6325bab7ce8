export { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
