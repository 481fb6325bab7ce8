/** One call on one pair, as its client saw it: when it was sent, when it was answered, and what it did or said. */
export interface Operation {
  readonly sent: number;
  readonly answered: number;
  readonly kind: 'add' | 'remove' | 'read';
  /** What a read answered. */
  readonly member?: boolean;
}

/**
 * Whether some order of the operations explains them all: each takes effect at one moment between being sent and being
 * answered, and each read returns what the last change before it made of the pair (Herlihy and Wing, 1990). Searched as Wing
 * and Gong do, remembering which sets of finished operations were a dead end.
 */
export function isLinearizable(operations: readonly Operation[], initially = false): boolean {
  const ordered = [...operations].sort((a, b) => a.sent - b.sent);
  const deadEnds = new Set<string>();

  function explains(done: bigint, member: boolean): boolean {
    const left = ordered.flatMap((operation, i) => ((done >> BigInt(i)) & 1n ? [] : [{ operation, i }]));
    if (left.length === 0) return true;
    const state = `${done} ${member}`;
    if (deadEnds.has(state)) return false;
    // Whatever was sent after another one was answered cannot go before it.
    const firstAnswer = Math.min(...left.map(({ operation }) => operation.answered));
    for (const { operation, i } of left) {
      if (operation.sent > firstAnswer) break;
      if (operation.kind === 'read' && operation.member !== member) continue;
      const after = operation.kind === 'read' ? member : operation.kind === 'add';
      if (explains(done | (1n << BigInt(i)), after)) return true;
    }
    deadEnds.add(state);
    return false;
  }

  return explains(0n, initially);
}
