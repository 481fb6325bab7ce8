import sql from 'sql-template-tag';

/**
 * The revision of the definitions, for `FROM`. The table has one row, but until that has changed fifty times PostgreSQL gathers no
 * statistics of it and expects thousands. The look-ups for each of them then seem so expensive that it compiles the statement at each
 * execution, where it has JIT. With the limit it expects one row (ADR 144).
 */
export const currentRevision = sql`(SELECT d.revision FROM definitions d LIMIT 1)`;
