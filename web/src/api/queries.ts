import { type InvalidateOptions, type InvalidateQueryFilters, QueryClient, type QueryKey } from '@tanstack/react-query';

/** A query client that never takes the answer of a request from before an invalidation. */
export class Queries extends QueryClient {
  /**
   * The library restarts a request in flight only for a query that has data. One without data would wait for its first answer, which
   * may be older than the change, so all of them are cancelled.
   */
  override async invalidateQueries<Key extends QueryKey = QueryKey>(
    filters?: InvalidateQueryFilters<Key>,
    options?: InvalidateOptions,
  ): Promise<void> {
    await this.cancelQueries(filters);
    await super.invalidateQueries(filters, options);
  }
}
