/** Keeps the processor for this long. */
export function work(milliseconds: number): void {
  for (const until = performance.now() + milliseconds; performance.now() < until; );
}

/** The most that is counted in one turn of the event loop while `during` is under way. */
export async function mostInOneTurn(during: (count: () => void) => Promise<void>): Promise<number> {
  let [inTurn, most, isOver] = [0, 0, false];
  const nextTurn = () => {
    inTurn = 0;
    if (!isOver) setImmediate(nextTurn);
  };
  nextTurn();
  await during(() => {
    inTurn += 1;
    most = Math.max(most, inTurn);
  });
  isOver = true;
  return most;
}
