import type { Server } from 'node:http';
import type { Config } from '../config.ts';

const info = 30;

/** Prints a line for the person who starts the service, whatever LOG_LEVEL is: plain on a terminal, a log line elsewhere. */
export function announce(message: string): void {
  const line = process.stdout.isTTY
    ? message
    : JSON.stringify({ level: info, time: new Date().toISOString(), msg: message });
  process.stdout.write(`${line}\n`);
}

/** As a browser takes it. */
function addressOf(server: Server): string {
  const address = server.address();
  if (typeof address !== 'object' || !address) return String(address);
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host === '127.0.0.1' ? 'localhost' : host}:${address.port}`;
}

function adviceFor({ databaseUrl }: Config): string {
  const missing = databaseUrl === undefined ? 'DATABASE_URL and JWT_SECRET' : 'MODE=production and JWT_SECRET';
  return `This is evaluation mode: the calls that /docs marks so need no token. For production set ${missing}.`;
}

/** What a service says when it serves. */
export function greetingOf(server: Server, config: Config, adminPassword: string | undefined): string[] {
  return [
    `Kohort listens on ${addressOf(server)} (console at /ui/, documentation at /docs).`,
    ...(config.mode === 'evaluation' ? [adviceFor(config)] : []),
    ...(adminPassword === undefined
      ? []
      : [`The account admin was created with the password ${adminPassword} (shown this once).`]),
  ];
}
