import { expect, it } from 'vitest';
import { SlugOrder } from './slug-order.ts';

/** As many segments, with ids in another order than their slugs. */
function segmentsOf(count: number) {
  const slugs = Array.from({ length: count }, (_, i) => `${'_-aZ9B'[i % 6]}${(i * 7_919) % count}`);
  return slugs.map((slug, i) => ({ id: 3 * i + 1, slug }));
}

// Beyond 2,000 segments texts are compared, beyond 64 of a user's places are sorted in another way.
it.each([1, 63, 64, 65, 2_000, 2_001])('brings any part of %s segments into the order of their slugs', (count) => {
  const segments = segmentsOf(count);
  const order = new SlugOrder(new Map(segments.map((segment) => [segment.id, segment])));
  for (const size of [0, 1, 2, 10, 64, 65, count]) {
    const some = segments.filter((_, i) => (i * size) % count < size).reverse();
    expect(order.sorted(some)).toEqual(some.map(({ slug }) => slug).toSorted());
  }
});
