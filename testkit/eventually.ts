import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 25;
const WITHIN_MS = 60_000;

/**
 * Waits until `check` holds; one that throws does not hold yet. The limit only ends a test that waits in vain, so it is wide: how
 * long something takes on a busy machine says nothing about the code.
 */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = WITHIN_MS): Promise<void> {
  const deadline = performance.now() + withinMs;
  let failure: unknown;
  const holds = async () => {
    try {
      return await check();
    } catch (error) {
      failure = error;
      return false;
    }
  };
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${check}`, { cause: failure });
    await sleep(LOOK_EVERY_MS);
  }
}
