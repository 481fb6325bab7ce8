/** A change as a feed publishes it. */
export interface PublishedChange {
  readonly id: string;
  readonly at: string;
  readonly type: 'entered' | 'left' | 'segment';
  readonly slug: string;
  readonly user_id: number | null;
  readonly external_id: string | null;
  readonly cause: string;
  readonly actor: string;
  readonly before?: { readonly slug: string } | null;
  readonly after?: { readonly slug: string } | null;
}
