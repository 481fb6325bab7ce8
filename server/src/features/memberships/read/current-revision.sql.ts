import sql from 'sql-template-tag';

/**
 * The revision of the definitions, for `FROM`. The table has one row, of which PostgreSQL gathers no statistics while it has changed
 * fewer than fifty times: it then expects some thousand, takes what is looked up for each of them for expensive, and where it has a
 * compiler compiles the statement at each execution. With the limit it expects one (ADR 144).
 */
export const currentRevision = sql`(SELECT d.revision FROM definitions d LIMIT 1)`;
