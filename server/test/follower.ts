import { untilPasses } from '@kohort/testkit/eventually.ts';
import type { PublishedChange } from '@kohort/testkit/published-change.ts';
import { expect } from 'vitest';
import type { Service } from './service.ts';

export interface FollowedFeed {
  readonly id: number;
  readonly cursor: string;
}

export interface Member {
  readonly slug: string;
  readonly user_id: number;
  readonly external_id: string | null;
}

/** Follows feeds through the API of a service, as an admin. */
export function followerOf(service: Service) {
  const get = (path: string) => service.call('GET', path, { token: service.admin });
  return {
    async follow(what: { segments?: readonly string[]; tags?: readonly string[] }): Promise<FollowedFeed> {
      const answer = await service.call('POST', '/api/feeds', {
        token: service.admin,
        body: { name: 'test', ...what },
      });
      expect([answer.status, answer.text]).toEqual([201, expect.any(String)]);
      return answer.body;
    },
    /** Waits for `count` changes after a cursor. */
    changes({ id, cursor }: FollowedFeed, count: number): Promise<{ changes: PublishedChange[]; cursor: string }> {
      return untilPasses(async () => {
        const { status, body } = await get(`/api/feeds/${id}/changes?limit=1000&after=${cursor}`);
        expect([status, body.changes]).toEqual([200, expect.toSatisfy((all: unknown[]) => all.length === count)]);
        return body;
      });
    },
    async snapshot(id: number): Promise<{ members: Member[]; cursor: string }> {
      const { status, text } = await get(`/api/feeds/${id}/snapshot`);
      expect([status, text]).toEqual([200, expect.any(String)]);
      const lines = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      return { members: lines.slice(0, -1), cursor: lines.at(-1).cursor };
    },
  };
}

export type Follower = ReturnType<typeof followerOf>;
