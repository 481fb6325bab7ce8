import type { Tx } from '../../postgres/database.ts';

/** Up to so many rows it does not matter how they are joined, and to look each up is quickest. */
const FEW = 2_000;

/**
 * What the planner knows of tables that are only just filling is nothing, and where it expects nobody it would go through the
 * other side of a join again and again.
 */
export async function joinByHash(tx: Tx, { rows }: { readonly rows: number }): Promise<void> {
  if (rows > FEW) await tx.query({ text: 'SET LOCAL enable_nestloop = off', values: [] });
}

export async function workInMemory(tx: Tx): Promise<void> {
  await tx.query({ text: "SET LOCAL work_mem = '128MB'", values: [] });
}
