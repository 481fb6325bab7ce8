import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { atEnd } from '@kohort/testkit/processes.ts';

export interface Rules {
  /** Milliseconds each piece is held back, in either direction. */
  delay?: number;
  /** Half-open: pieces vanish, connections stay open. */
  swallow?: boolean;
  /** New connections are refused, existing ones are reset. */
  refuse?: boolean;
  /** Each connection is cut after this many bytes from the server. */
  cutAfterBytes?: number;
  /** Decides about each piece from the client: pass it on, or cut the connection before or right after passing it on. */
  judge?: (piece: Buffer) => 'pass' | 'cut before' | 'cut after';
}

export interface CuttableProxy {
  readonly port: number;
  /** The database's URL, through the proxy. */
  readonly url: string;
  /** How many connections were cut by a rule. */
  readonly cuts: () => number;
  /** How many pieces were held back or vanished. */
  readonly hampered: () => number;
  readonly connections: () => number;
  rule(rules: Rules): void;
  /** Drops all rules. Connections whose packets were swallowed stay dead, as behind a firewall that has lost its state. */
  heal(): void;
  /**
   * Of the connections that gave this name when they were opened, the next `count` that are used go deaf at that moment; the others
   * keep working. Returns how many have gone deaf.
   */
  silence(count: number, name: string): () => number;
  close(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  dead: boolean;
  fromServer: number;
  /** The first piece, in which the client gives its name. */
  opening: Buffer | undefined;
  fromClient: number;
}

/** After this many pieces a client has signed in: only connections in use go deaf. */
const signInChunks = 5;

interface State {
  readonly links: Set<Link>;
  rules: Rules;
  cuts: number;
  hampered: number;
  silencing: { left: number; readonly parameter: string };
}

function isNextToSilence({ silencing }: State, { dead, opening, fromClient }: Link): boolean {
  const { left, parameter } = silencing;
  if (dead || left === 0 || fromClient <= signInChunks || !opening?.includes(parameter)) return false;
  silencing.left--;
  return true;
}

function end({ links }: State, link: Link): void {
  links.delete(link);
  link.client.destroy();
  link.server.destroy();
}

function cut(state: State, link: Link): void {
  const { links } = state;
  if (!links.has(link)) return;
  state.cuts++;
  links.delete(link);
  link.client.resetAndDestroy();
  // The server's side is closed in order, so that the server processes what it has received.
  link.server.end();
  setTimeout(() => link.server.destroy(), 2_000).unref();
}

/** Passes a piece on after the delay; pieces of one direction stay in order, since they share the delay. */
function pass(state: State, link: Link, to: Socket, piece: Buffer, then?: () => void): void {
  const { delay = 0 } = state.rules;
  const write = () => {
    if (!to.destroyed && !link.dead) to.write(piece, () => then?.());
  };
  if (delay > 0) {
    state.hampered++;
    setTimeout(write, delay);
  } else write();
}

function follow(state: State, link: Link): void {
  const { client, server } = link;
  state.links.add(link);
  for (const socket of [client, server]) {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
  }
  client.on('data', (piece: Buffer) => {
    link.opening ??= piece;
    link.fromClient++;
    if (state.rules.swallow || isNextToSilence(state, link)) link.dead = true;
    if (link.dead) return void state.hampered++;
    const verdict = state.rules.judge?.(piece) ?? 'pass';
    if (verdict === 'cut before') return cut(state, link);
    pass(state, link, server, piece, verdict === 'cut after' ? () => cut(state, link) : undefined);
    if (verdict === 'cut after') link.dead = true;
  });
  server.on('data', (piece: Buffer) => {
    if (state.rules.swallow) link.dead = true;
    if (link.dead) return;
    link.fromServer += piece.length;
    const { cutAfterBytes } = state.rules;
    if (cutAfterBytes !== undefined && link.fromServer > cutAfterBytes) return cut(state, link);
    pass(state, link, client, piece);
  });
  client.on('close', () => {
    if (!state.links.has(link)) return;
    state.links.delete(link);
    server.end();
    // Dropped packets do not reveal that the other end is gone, either.
    if (!link.dead) setTimeout(() => server.destroy(), 2_000).unref();
  });
  server.on('close', () => {
    if (state.links.has(link) && !link.dead) end(state, link);
  });
}

/** Stands between the service and its PostgreSQL and simulates the faults of networks. */
export async function startProxy(target: string): Promise<CuttableProxy> {
  const database = new URL(target);
  const state: State = { links: new Set(), rules: {}, cuts: 0, hampered: 0, silencing: { left: 0, parameter: '' } };
  const listener = createServer((client) => {
    if (state.rules.refuse) return void client.resetAndDestroy();
    const server = connect({ host: database.hostname, port: Number(database.port) });
    const link: Link = {
      client,
      server,
      dead: false,
      fromServer: 0,
      opening: undefined,
      fromClient: 0,
    };
    follow(state, link);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  const close = atEnd(async () => {
    listener.close();
    for (const link of state.links) end(state, link);
  });
  const url = new URL(target);
  url.port = String(address.port);

  return {
    port: address.port,
    url: url.href,
    cuts: () => state.cuts,
    hampered: () => state.hampered,
    connections: () => state.links.size,
    rule(next) {
      state.rules = next;
      if (next.refuse) for (const link of [...state.links]) cut(state, link);
    },
    heal() {
      state.rules = {};
    },
    silence(count, name) {
      const order = { left: count, parameter: `application_name\0${name}\0` };
      state.silencing = order;
      return () => count - order.left;
    },
    close,
  };
}
