import { join } from 'node:path';
import { runWithin } from '@kohort/testkit/processes.ts';

export interface Load {
  readonly script: 'read' | 'walk' | 'add' | 'resolve' | 'ofrep';
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly seconds: number;
  readonly connections: number;
  readonly threads?: number;
  readonly env: Readonly<Record<string, string | number>>;
}

export interface Outcome {
  /** Requests that got any answer. */
  readonly requests: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers from 400 up. */
  readonly refused: number;
  /** Connections that broke or requests that were never answered. */
  readonly broken: number;
  /** How far the fastest thread of a walk has come. */
  readonly issued: number;
}

const SCRIPTS = join(import.meta.dirname, 'load');
const FIELDS = ['requests', 'seconds', 'p50', 'p99', 'refused', 'broken', 'issued'] as const;
/** As wrk's scripts share nothing, each of its threads walks every THREADS-th step. */
export const THREADS = 2;
/** How much longer than the load wrk may take before it counts as hanging. */
const MARGIN_S = 20;

/** Of the line that our scripts and processes end with. */
export function parseOutcome(output: string): Outcome {
  const line = /^RESULT (\{.*\})$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`the load reported no result: ${output.trim().slice(-500)}`);
  const found: unknown = JSON.parse(line);
  const read = (name: (typeof FIELDS)[number]): number => {
    const value = typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined;
    if (typeof value !== 'number') throw new Error(`the result of the load has no ${name}: ${line}`);
    return value;
  };
  return {
    requests: read('requests'),
    seconds: read('seconds'),
    p50: read('p50'),
    p99: read('p99'),
    refused: read('refused'),
    broken: read('broken'),
    issued: read('issued'),
  };
}

export async function drive({ script, url, seconds, connections, threads = THREADS, env }: Load): Promise<Outcome> {
  const { code, stdout, stderr } = await runWithin(
    {
      command: 'wrk',
      args: [
        `-t${threads}`,
        `-c${connections}`,
        `-d${seconds}s`,
        '--timeout',
        '10s',
        '-s',
        join(SCRIPTS, `${script}.lua`),
        url,
      ],
      env: {
        LOAD: SCRIPTS,
        THREADS: String(threads),
        SEED: String(Math.floor(Math.random() * 1e6)),
        ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)])),
      },
    },
    (seconds + MARGIN_S) * 1000,
  );
  if (code !== 0) throw new Error(`wrk ended with ${code}: ${stderr || stdout}`);
  return parseOutcome(stdout);
}
