/** A table whose rows are spread over the workers, by the value of a column. */
export interface DistributedTable {
  readonly name: string;
  readonly by: string;
  /** Tables of one group keep the rows of a user on one node, so that they can be joined there. */
  readonly colocatedWith: string | undefined;
}

/**
 * Small tables that statements join with those of users, and the tables they refer to: a copy on every node. Each comes after the
 * tables that its foreign keys refer to.
 */
export const referenceTables = ['layers', 'segments', 'definitions'] as const;

/**
 * The tables that grow with the number of users. All others stay on the coordinator; Citus adds those to its metadata that refer to
 * a reference table (`segment_versions`, `segment_references`, `segment_sizes`).
 */
export const distributedTables: readonly DistributedTable[] = [
  { name: 'users', by: 'id', colocatedWith: undefined },
  { name: 'memberships', by: 'user_id', colocatedWith: 'users' },
  { name: 'history', by: 'user_id', colocatedWith: 'users' },
  { name: 'attribute_versions', by: 'user_id', colocatedWith: 'users' },
  { name: 'user_keys', by: 'external_id', colocatedWith: undefined },
];

/**
 * The identities of these tables. Each is drawn on the coordinator alone, which keeps ids small and the rows of history in order: a
 * worker would draw from a range of its own, far above.
 */
export const identities = [
  { table: 'layers', column: 'id' },
  { table: 'segments', column: 'id' },
  { table: 'users', column: 'id' },
  { table: 'history', column: 'seq' },
] as const;
