import { once } from 'node:events';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { resumed } from './resumed.ts';

/** Something that is held until the generator ends. */
function holding(...values: string[]): { readonly rest: AsyncGenerator<string, void, undefined>; isHeld(): boolean } {
  let isHeld = true;
  async function* hold() {
    try {
      yield* values;
    } finally {
      isHeld = false;
    }
  }
  return { rest: hold(), isHeld: () => isHeld };
}

it('begins with the result that was taken, and goes on', async () => {
  const { rest, isHeld } = holding('a', 'b', 'c');
  const all: string[] = [];
  for await (const value of Readable.from(resumed(await rest.next(), rest))) all.push(value);
  expect(all).toEqual(['a', 'b', 'c']);
  expect(isHeld()).toBe(false);
});

it('is empty when there was nothing to take', async () => {
  const { rest } = holding();
  expect(await Readable.from(resumed(await rest.next(), rest)).toArray()).toEqual([]);
});

it.each([0, 1, 2])('releases what is held when the reader leaves after %i reads', async (reads) => {
  const { rest, isHeld } = holding('a', 'b', 'c');
  const stream = Readable.from(resumed(await rest.next(), rest), { highWaterMark: 1 });
  for (let i = 0; i < reads; i++) {
    if (stream.read() === null) await once(stream, 'readable');
  }
  expect(isHeld()).toBe(true);
  stream.destroy();
  await once(stream, 'close');
  expect(isHeld()).toBe(false);
});
