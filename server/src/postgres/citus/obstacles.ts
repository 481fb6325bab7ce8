import {
  type Client,
  selectBrokenConnections,
  selectCitusVersion,
  selectNodes,
  selectOpenJobs,
  selectSchemaVersion,
  selectSetting,
} from './obstacles.sql.ts';

/** The reason why a command cannot run, as a sentence for the operator. */
export class Obstacle extends Error {
  override readonly name = 'Obstacle';
}

/** The oldest Citus with the commands in the form used here. */
const oldestMajor = 12;

/** @throws Obstacle unless this is a coordinator of Citus whose workers answer. */
export async function refuseWithoutCluster(client: Client): Promise<void> {
  const version = await selectCitusVersion(client);
  if (version === undefined) {
    throw new Obstacle('This PostgreSQL has no Citus: the extension "citus" is not installed in the database.');
  }
  if (Number.parseInt(version, 10) < oldestMajor) {
    throw new Obstacle(`Citus is ${version} here, but ${oldestMajor} is the oldest that this works with.`);
  }
  const nodes = await selectNodes(client);
  if (!nodes.some(({ group }) => group === 0)) {
    throw new Obstacle(
      "Citus does not know its coordinator. Name it first: SELECT citus_set_coordinator_host('HOST', PORT), as the workers reach it.",
    );
  }
  const workers = nodes.filter(({ group }) => group !== 0);
  if (workers.length === 0) {
    throw new Obstacle("Citus has no workers. Add them first: SELECT citus_add_node('HOST', PORT).");
  }
  const inactive = workers.filter(({ isActive }) => !isActive);
  if (inactive.length > 0)
    throw new Obstacle(`Workers are not active: ${inactive.map(({ name }) => name).join(', ')}.`);
  const broken = await selectBrokenConnections(client);
  if (broken.length > 0) throw new Obstacle(`Nodes do not reach each other: ${broken.join('; ')}.`);
  const unprepared = (await selectSetting(client, 'max_prepared_transactions')).filter(({ value }) => value === '0');
  if (unprepared.length > 0) {
    throw new Obstacle(
      `max_prepared_transactions is 0 on ${unprepared.map(({ node }) => node).join(', ')}. Citus commits on several nodes with them: set it to max_connections.`,
    );
  }
}

/** @throws Obstacle unless the schema has the version of this build, and no job of a caller is open. */
export async function refuseUnready(client: Client, newest: number): Promise<void> {
  const schema = await selectSchemaVersion(client);
  if (schema === undefined) {
    throw new Obstacle('This database has no tables of Kohort. Start the service on it once, which makes them.');
  }
  if (schema.dirty || schema.version !== newest) {
    throw new Obstacle(
      `The database is at schema version ${schema.version}${schema.dirty ? ', marked dirty' : ''}, but this build has ${newest}. Start the service of this build on it once.`,
    );
  }
  const jobs = await selectOpenJobs(client);
  if (jobs.length > 0) {
    const names = jobs.map(({ id, kind }) => `${id} (${kind})`).join(', ');
    throw new Obstacle(`Jobs are open: ${names}. Wait until they have ended, or cancel them.`);
  }
}
