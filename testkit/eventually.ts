import { setTimeout as sleep } from 'node:timers/promises';

const pollEveryMs = 25;
/** Generous, since it only ends tests that hang. How long something takes on a busy machine says nothing about the code. */
const withinMs = 200_000;

/** Waits until `check` holds; one that throws does not hold yet. */
export async function eventually(check: () => boolean | Promise<boolean>, limitMs = withinMs): Promise<void> {
  await untilPasses(async () => {
    if (!(await check())) throw new Error(`does not hold: ${check}`);
  }, limitMs);
}

/** Waits until `look` no longer throws. @returns what it found. */
export async function untilPasses<Found>(look: () => Found | Promise<Found>, limitMs = withinMs): Promise<Found> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    try {
      return await look();
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${look}`, { cause });
    }
    await sleep(pollEveryMs);
  }
}
