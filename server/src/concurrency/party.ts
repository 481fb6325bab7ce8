import { AsyncLocalStorage } from 'node:async_hooks';

const parties = new AsyncLocalStorage<string>();

/** The party of what the service does by itself, or for several callers at once. */
export const theService = '';

/** Runs work on behalf of a party, with all that it starts and waits for. */
export function onBehalfOf<T>(party: string, work: () => T): T {
  return parties.run(party, work);
}

/** On whose behalf the code that asks is running. */
export function currentParty(): string {
  return parties.getStore() ?? theService;
}
