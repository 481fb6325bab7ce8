import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';

/**
 * A page as OpenFeature's documentation has it, under `node --experimental-eventsource`: its own `fetch`, its own `EventSource`.
 * Writes the values of the flags as a line, first and whenever the provider says that they have changed.
 */
const [url = '', key = '', ...flags] = process.argv.slice(2);

const opened = Promise.withResolvers<void>();
globalThis.EventSource = class extends EventSource {
  constructor(address: string | URL, options?: EventSourceInit) {
    super(address, options);
    this.addEventListener('open', () => opened.resolve());
  }
};

await OpenFeature.setContext({ targetingKey: 'ann' });
const provider = new OFREPWebProvider({
  baseUrl: url,
  pollInterval: 0,
  headers: [['Authorization', `Bearer ${key}`]],
});
// @ts-expect-error The types of the two packages do not agree under exactOptionalPropertyTypes.
await OpenFeature.setProviderAndWait(provider);
// The provider does not hear of what changes between its first evaluation and the beginning of the stream.
await opened.promise;
const client = OpenFeature.getClient();
const write = () => {
  const values = Object.fromEntries(flags.map((flag) => [flag, client.getBooleanValue(flag, false)]));
  process.stdout.write(`${JSON.stringify(values)}\n`);
};
write();
OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, write);
