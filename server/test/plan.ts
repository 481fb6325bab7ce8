/** A node of a plan, as `EXPLAIN (ANALYZE, FORMAT JSON)` shows it. */
export interface Plan {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

/** The statement that explains another one, and its row. */
export const explained = (text: string) => `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`;
export interface Explained {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: Plan }];
}

/** Rows that the leaves of a plan read. */
export function rowsRead(plan: Plan): number {
  if (plan.Plans) return plan.Plans.reduce((sum, part) => sum + rowsRead(part), 0);
  return plan['Actual Loops'] * (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0));
}

/** Of a statement that was explained; NaN when it returned no plan, which fails every comparison. */
export function rowsReadBy(row: Explained | undefined): number {
  return row ? rowsRead(row['QUERY PLAN'][0].Plan) : Number.NaN;
}
