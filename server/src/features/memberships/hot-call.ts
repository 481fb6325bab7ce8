import { memberships as contract, parseUserRef } from '@kohort/contract';
import { recognise, refusalOf } from '../../http/access.ts';
import type { Caller } from '../../http/caller.ts';
import type { HotCall } from '../../http/hot-lane.ts';
import { fastifyPath } from '../../http/route.ts';
import type { Answers } from './answers.ts';

const { listUserSegments } = contract;

/** `GET /api/users/{user}/segments` for the hot lane: whatever is not plainly right there is left to the framework. */
export function hotCallOf({
  answers,
  known,
  seedIsOpen,
  observerOf,
}: {
  answers: Answers;
  known: (token: string) => Caller | undefined;
  seedIsOpen: boolean;
  observerOf: (route: string) => (seconds: number) => void;
}): HotCall {
  return {
    // No query string, and no character that would have to be looked at twice.
    pattern: /^\/api\/users\/([1-9][0-9]{0,15}|ext:[A-Za-z0-9._~@:%-]+)\/segments$/,
    observe: observerOf(fastifyPath(listUserSegments.path)),
    answer([, text = ''], { headers }) {
      const caller = recognise(headers, known);
      if (!caller || refusalOf(listUserSegments, caller, { user: text, seedIsOpen })) return undefined;
      try {
        const user = parseUserRef(text.includes('%') ? decodeURIComponent(text) : text);
        return answers.segmentsOf(user).then((list) => list?.json);
      } catch {
        return undefined;
      }
    },
  };
}
