import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { atEnd } from '@kohort/testkit/processes.ts';

export interface Rules {
  /** Milliseconds each piece is held back, in either direction. */
  delay?: number;
  /** Half-open: pieces vanish, connections stay. */
  swallow?: boolean;
  /** New connections are refused, those there are reset. */
  refuse?: boolean;
  /** Each connection is cut after so many bytes from the server. */
  cutAfterBytes?: number;
  /** Judges what the client sends: pass it on, or cut the connection before, or right after, it is passed on. */
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
  /** Drops all rules; connections that were swallowed stay dead, as those behind a forgetful firewall do. */
  heal(): void;
  /**
   * The next `count` connections to be used of those that said this name when they were opened go deaf in that moment, while the
   * others are fine. Answers how many have.
   */
  silence(count: number, name: string): () => number;
  close(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  dead: boolean;
  fromServer: number;
  /** Its first piece, in which it says who it is. */
  opening: Buffer | undefined;
  fromClient: number;
}

/** So many pieces of the client's, and it is past its sign-in: what goes deaf is a connection in use. */
const SIGNED_IN = 5;

/** Stands between the service and its PostgreSQL and does to their connections what networks do. */
export async function startProxy(target: string): Promise<CuttableProxy> {
  const database = new URL(target);
  const links = new Set<Link>();
  let rules: Rules = {};
  let cuts = 0;
  let hampered = 0;
  let silencing = { left: 0, parameter: '' };

  function isNextToSilence({ dead, opening, fromClient }: Link): boolean {
    const { left, parameter } = silencing;
    if (dead || left === 0 || fromClient <= SIGNED_IN || !opening?.includes(parameter)) return false;
    silencing.left--;
    return true;
  }

  function end(link: Link): void {
    links.delete(link);
    link.client.destroy();
    link.server.destroy();
  }

  function cut(link: Link): void {
    if (!links.has(link)) return;
    cuts++;
    links.delete(link);
    link.client.resetAndDestroy();
    // The server's side is closed in order, so that it works off what it was sent.
    link.server.end();
    setTimeout(() => link.server.destroy(), 2_000).unref();
  }

  /** Passes a piece on after the delay; pieces of one direction stay in order, since they share the delay. */
  function pass(link: Link, to: Socket, piece: Buffer, then?: () => void): void {
    const { delay = 0 } = rules;
    const write = () => {
      if (!to.destroyed && !link.dead) to.write(piece, () => then?.());
    };
    if (delay > 0) {
      hampered++;
      setTimeout(write, delay);
    } else write();
  }

  const listener = createServer((client) => {
    if (rules.refuse) return void client.resetAndDestroy();
    const server = connect({ host: database.hostname, port: Number(database.port) });
    const link: Link = {
      client,
      server,
      dead: false,
      fromServer: 0,
      opening: undefined,
      fromClient: 0,
    };
    links.add(link);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
    }
    client.on('data', (piece: Buffer) => {
      link.opening ??= piece;
      link.fromClient++;
      if (rules.swallow || isNextToSilence(link)) link.dead = true;
      if (link.dead) return void hampered++;
      const verdict = rules.judge?.(piece) ?? 'pass';
      if (verdict === 'cut before') return cut(link);
      pass(link, server, piece, verdict === 'cut after' ? () => cut(link) : undefined);
      if (verdict === 'cut after') link.dead = true;
    });
    server.on('data', (piece: Buffer) => {
      if (rules.swallow) link.dead = true;
      if (link.dead) return;
      link.fromServer += piece.length;
      const { cutAfterBytes } = rules;
      if (cutAfterBytes !== undefined && link.fromServer > cutAfterBytes) return cut(link);
      pass(link, client, piece);
    });
    client.on('close', () => {
      if (!links.has(link)) return;
      links.delete(link);
      server.end();
      // What vanishes on the way tells nobody that the other end is gone, either.
      if (!link.dead) setTimeout(() => server.destroy(), 2_000).unref();
    });
    server.on('close', () => {
      if (links.has(link) && !link.dead) end(link);
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (typeof address !== 'object' || !address) throw new Error('no address');
  const close = atEnd(async () => {
    listener.close();
    for (const link of links) end(link);
  });
  const url = new URL(target);
  url.port = String(address.port);

  return {
    port: address.port,
    url: url.href,
    cuts: () => cuts,
    hampered: () => hampered,
    connections: () => links.size,
    rule(next) {
      rules = next;
      if (next.refuse) for (const link of [...links]) cut(link);
    },
    heal() {
      rules = {};
    },
    silence(count, name) {
      const order = { left: count, parameter: `application_name\0${name}\0` };
      silencing = order;
      return () => count - order.left;
    },
    close,
  };
}
