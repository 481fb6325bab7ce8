import sql from 'sql-template-tag';
import type { Client } from './obstacles.sql.ts';

export interface Rebalance {
  readonly job: string;
  readonly state: string;
  /** The number of moves of shards, and of those that have ended. */
  readonly moves: number;
  readonly moved: number;
  /** The error of a failed move. */
  readonly message: string | null;
}

/** Starts to move shards to nodes that have fewer. @returns the job; undefined if all nodes have their share. */
export async function startRebalance(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ job: string | null }>(sql`SELECT citus_rebalance_start()::text AS job`);
  return rows[0]?.job ?? undefined;
}

/** A rebalance that has not ended, even if it was started by another client. */
export async function selectOpenRebalance(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ job: string }>(sql`
    SELECT job_id::text AS job FROM pg_dist_background_job
    WHERE job_type = 'rebalance' AND state IN ('scheduled', 'running', 'cancelling', 'failing') ORDER BY job_id DESC LIMIT 1`);
  return rows[0]?.job;
}

export async function selectRebalance(client: Client, job: string): Promise<Rebalance | undefined> {
  const { rows } = await client.query<Rebalance>(sql`
    SELECT j.job_id::text AS job, j.state::text AS state, count(t.task_id)::int AS moves,
      (count(t.task_id) FILTER (WHERE t.status = 'done'))::int AS moved,
      max(t.message) FILTER (WHERE t.status IN ('error', 'runnable') AND t.retry_count > 0) AS message
    FROM pg_dist_background_job j LEFT JOIN pg_dist_background_task t USING (job_id)
    WHERE j.job_id = ${job}::bigint GROUP BY j.job_id`);
  return rows[0];
}

/** How many shards each node has. */
export async function selectShares(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ share: string }>(sql`
    SELECT n.nodename || ':' || n.nodeport || ' ' || count(s.shardid) AS share
    FROM pg_dist_node n
    LEFT JOIN pg_dist_placement p USING (groupid)
    LEFT JOIN pg_dist_shard s ON s.shardid = p.shardid AND s.shardminvalue IS NOT NULL
    WHERE n.shouldhaveshards AND n.noderole = 'primary' GROUP BY n.groupid, n.nodename, n.nodeport ORDER BY n.groupid`);
  return rows.map(({ share }) => share);
}
