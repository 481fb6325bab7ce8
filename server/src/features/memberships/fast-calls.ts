import type { IncomingHttpHeaders } from 'node:http';
import { memberships as contract, type Endpoint, parseUserRef, slugPattern, type UserRef } from '@kohort/contract';
import { admitAtOnce } from '../../http/access.ts';
import type { Caller, Recognise } from '../../http/caller.ts';
import type { FastCall } from '../../http/fast-path.ts';
import { fastifyPath } from '../../http/route.ts';
import { unknownUser } from '../users/users.ts';
import type { SegmentsOfUser } from './read/segments-of-user.ts';
import { changeOverride, type Ledger } from './write/ledger.ts';

const { listUserSegments, addToSegment } = contract;

export interface FastCallSettings {
  readonly segmentsOf: SegmentsOfUser;
  /** For calls with `Consistency: eventual`. */
  readonly eventual: { readonly segmentsOf: SegmentsOfUser };
  readonly ledger: Ledger;
  readonly known: Recognise;
  readonly seedIsOpen: boolean;
  readonly observerOf: (method: string, route: string) => (seconds: number) => void;
}

// No query string, and only characters that need no decoding.
const SEGMENTS_OF_USER = /^\/api\/users\/([1-9][0-9]{0,15}|ext:[A-Za-z0-9._~@:%-]+)\/segments$/;
// JSON's own white space, which is less than a regular expression's.
const ONLY_SLUG = new RegExp(
  ['^', '\\{', '"slug"', ':', `"(${slugPattern.slice(1, -1)})"`, '\\}', '$'].join('[ \\t\\n\\r]*'),
);

function isPlainConsistency({ consistency }: IncomingHttpHeaders): boolean {
  return consistency === undefined || consistency === 'eventual' || consistency === 'strong';
}

function readUser(text: string): UserRef | undefined {
  try {
    return parseUserRef(text.includes('%') ? decodeURIComponent(text) : text);
  } catch {
    return undefined;
  }
}

/** `GET` and `POST` of `/api/users/{user}/segments` for the fast path. Unusual requests are left to Fastify. */
export function fastCallsOf({
  segmentsOf,
  eventual,
  ledger,
  known,
  seedIsOpen,
  observerOf,
}: FastCallSettings): FastCall[] {
  const admit = (endpoint: Endpoint, headers: IncomingHttpHeaders, user: string) =>
    admitAtOnce(endpoint, headers, known, { user, seedIsOpen });

  async function add(user: UserRef, slug: string, { actor }: Caller): Promise<string> {
    await changeOverride(ledger, user, { slug, kind: 'include', expiresAt: null, ttl: null, path: '/body' }, actor);
    return '{"status":"ok"}';
  }

  return [
    {
      method: 'GET',
      pattern: SEGMENTS_OF_USER,
      observe: observerOf('GET', fastifyPath(listUserSegments.path)),
      answer([, text = ''], { headers }) {
        if (!isPlainConsistency(headers)) return undefined;
        const user = admit(listUserSegments, headers, text) && readUser(text);
        return user && (headers.consistency === 'eventual' ? eventual.segmentsOf(user) : segmentsOf(user));
      },
      absent: unknownUser,
    },
    {
      method: 'POST',
      pattern: SEGMENTS_OF_USER,
      observe: observerOf('POST', fastifyPath(addToSegment.path)),
      answer([, text = ''], { headers }, body) {
        const slug = ONLY_SLUG.exec(body)?.[1];
        const caller = slug === undefined ? undefined : admit(addToSegment, headers, text);
        const user = caller && readUser(text);
        return slug !== undefined && caller && user ? add(user, slug, caller) : undefined;
      },
    },
  ];
}
