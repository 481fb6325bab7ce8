import { setImmediate as turn } from 'node:timers/promises';

/** Milliseconds of turns after which slow ones that accept no connection count as well. */
export const quickTurnsForMs = 2_000;
/** Milliseconds of turns after which no more connections are accepted. */
export const turnsForMs = 7_000;
/** Milliseconds for it all: a stop has 25 seconds. */
export const acceptForMs = 15_000;
/** Milliseconds that two turns may take: longer ones tell nothing of those who came meanwhile. */
const quickTurnsMs = 0.5;
export const slowTurnsMs = 250;

/**
 * Resolves when a server that stops may close its port: connections that wait to be accepted then are reset. One turn of the event
 * loop accepts one of them, and more may come while it does other work, so it takes two quick turns that accept none. Where two
 * seconds of turns brought no such two, two slow ones suffice; after seven seconds it resolves whatever waits.
 *
 * The process may be halted in any turn, and cannot tell that from work: turns that take longer than slow ones give no verdict and
 * do not count as time of turns. After fifteen seconds in all it resolves nevertheless.
 *
 * @param clock in milliseconds, never set back
 */
export async function acceptWaiting(
  server: { readonly accepted: number },
  clock = () => performance.now(),
): Promise<void> {
  const began = clock();
  for (let turnsMs = 0; turnsMs < turnsForMs && clock() - began < acceptForMs; ) {
    const { accepted } = server;
    const twoBegan = clock();
    await turn();
    await turn();
    const tookMs = clock() - twoBegan;
    if (tookMs >= slowTurnsMs) continue;
    const isVerdict = tookMs < quickTurnsMs || turnsMs >= quickTurnsForMs;
    if (isVerdict && server.accepted === accepted) return;
    turnsMs += tookMs;
  }
}
