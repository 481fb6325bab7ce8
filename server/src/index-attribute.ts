import { parseArgs } from 'node:util';
import { indexAttribute, listAttributeIndexes, unindexAttribute } from './features/attributes/attributes.ts';
import { connect } from './postgres/citus/session.ts';

const usage = `npm run index-attribute -- --database-url postgres://user:password@host:port/database [--drop] [attribute …]

Makes an index for conditions that ask for equality with an attribute, or drops it; without an attribute lists those there are.
`;

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { 'database-url': { type: 'string' }, drop: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const url = values['database-url'];
    if (url === undefined || (values.drop && positionals.length === 0)) return undefined;
    return { url, drop: values.drop, attributes: positionals };
  } catch {
    return undefined;
  }
}

async function run({ url, drop, attributes }: NonNullable<ReturnType<typeof readArguments>>): Promise<void> {
  const client = await connect(url, 'kohort-index-attribute');
  try {
    for (const attribute of attributes) {
      const outcome = await (drop ? unindexAttribute : indexAttribute)(client, attribute);
      process.stdout.write(`${attribute}: ${outcome}\n`);
      if (outcome === 'impossible') process.exitCode = 1;
    }
    if (attributes.length > 0) return;
    const lines = await listAttributeIndexes(client);
    process.stdout.write(`${lines.length === 0 ? 'There is no index on an attribute.' : lines.join('\n')}\n`);
  } finally {
    await client.end().catch(() => undefined);
  }
}

const asked = readArguments();
if (asked) {
  await run(asked).catch((error) => {
    process.stderr.write(`It failed, and can be run again: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  });
} else {
  process.stderr.write(usage);
  process.exitCode = 2;
}
