import Type from 'typebox';
import Format from 'typebox/format';
import { parseTime } from './time.ts';

Format.Set('date-time', (text) => parseTime(text) !== undefined);

/** An object that refuses fields it does not name. One with a `title` is a named schema of the OpenAPI document. */
export function strict<P extends Type.TProperties>(
  properties: P,
  options: { title?: string; description?: string; minProperties?: number } = {},
) {
  return Type.Object(properties, { additionalProperties: false, ...options });
}

export function nullable<S extends Type.TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()]);
}

/** The same schema with another description. */
export function described<S extends Type.TSchema>(schema: S, description: string): S {
  return { ...schema, description };
}

/** A filter of a query string; an empty one, as in `?tag=`, has no effect. */
export function emptyIsAbsent<S extends Type.TSchema>(schema: S): S {
  return { ...schema, 'x-empty-is-absent': true };
}

export const maxUserId = Number.MAX_SAFE_INTEGER;
export const maxExternalIdBytes = 255;
export const maxListEntries = 1000;
/** The most errors that a job reports; the rest is omitted. */
export const maxJobErrors = 100;
export const maxAttributesBytes = 16 * 1024;

export const Time = Type.String({
  format: 'date-time',
  description: 'RFC 3339; answers use UTC with milliseconds.',
});
export const UserId = Type.Integer({ minimum: 1, maximum: maxUserId, description: 'The id of a user.' });
export const ExternalId = Type.String({
  minLength: 1,
  maxLength: maxExternalIdBytes,
  description: 'Opaque, immutable, unique; 1–255 bytes of UTF-8 without control characters.',
});
export const UserRefText = Type.String({
  description:
    'A user: the decimal id (`2`), or `ext:` and the external id (`ext:shopper-4`), percent-encoded in a path.',
});
export const slugPattern = '^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$';
export const Slug = Type.String({
  pattern: slugPattern,
  description: 'The name of a segment: case-sensitive, unique among those that are not deleted.',
});
export const Name = Type.String({ minLength: 1, maxLength: 255, description: 'For people to read.' });
export const Attributes = Type.Record(Type.String(), Type.Unknown(), {
  description: 'A JSON object of at most 16 KiB, measured as compact JSON in UTF-8.',
});

export const ExpiresAt = Time;
export const Ttl = Type.Integer({ minimum: 1, maximum: 3_153_600_000, description: 'Seconds from now.' });

export const Limit = Type.Integer({
  minimum: 1,
  maximum: 1000,
  default: 100,
  description:
    'The maximum number of entries per page. A page of large entries ends earlier, after 1 to 4 MiB, with a `next_cursor`.',
});
export const Cursor = Type.String({
  minLength: 1,
  maxLength: 2048,
  description: 'The `next_cursor` of the previous page; omitted for the first page.',
});
export const NextCursor = nullable(Type.String({ description: 'For the next page; null on the last one.' }));
export const page = { limit: Type.Optional(Limit), cursor: Type.Optional(Cursor) };

export const userParams = strict({ user: UserRefText });
export const slugParams = strict({ slug: Slug });
export const pairParams = strict({ user: UserRefText, slug: Slug });
/** An id in a path: digits only, no leading zero. The range is checked when it is parsed. */
export function idParams(description: string) {
  return strict({ id: Type.String({ pattern: '^[1-9][0-9]{0,15}$', description }) });
}

/** For calls that create: a random key of the client for one effect, so that a repeated call has no second one. */
export const idempotent = {
  headers: Type.Object({
    'idempotency-key': Type.Optional(
      Type.String({
        // Without spaces around it, which HTTP drops (RFC 9110, 5.5).
        pattern: '^[!-~](?:[ -~]{0,253}[!-~])?$',
        description:
          'Repeated calls with the same key take effect once and get the same answer for 24 h. See [idempotency](docs/idempotency.md).',
      }),
    ),
  }),
  problems: ['idempotency_in_flight', 'idempotency_key_reused'],
} as const;

/** For calls whose answer may take long. */
export const deferrable = {
  consistent: true,
  deferrable: true,
  headers: Type.Object({
    prefer: Type.Optional(
      Type.String({
        // A list, whose elements may be empty (RFC 9110, 5.6.1.2).
        pattern: '^[ -~]{0,255}$',
        description: '`respond-async`: answered with 202 and a job, whose `result` is the answer.',
      }),
    ),
  }),
} as const;
export const Accepted = strict({ job: Type.String({ pattern: '^[1-9][0-9]{0,15}$' }) }, { title: 'Accepted' });

export const StatusOk = strict({ status: Type.Literal('ok') }, { title: 'Done' });
export const nothing = { status: 204, body: null } as const;
