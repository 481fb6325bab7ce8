import type { Static, TObject, TSchema } from 'typebox';
import type { ProblemCode } from './problem.ts';

export const roles = ['member', 'viewer', 'editor', 'admin'] as const;
/** Ordered: each role includes the ones before it. */
export type Role = (typeof roles)[number];

/**
 * The callers that are allowed. `public`: anyone. `self`: members for their own user, others from `viewer` up.
 * `session`: any account that signed in, but no API key. A role: that role or a higher one.
 * `browser`: a browser key from one of its origins, and others from `viewer` up. No other call accepts browser keys.
 */
export type Access = 'public' | 'self' | 'session' | 'browser' | Role;

/**
 * How a key with tags is limited to segments that carry one of them. `segment`: the segment in the path must. `handled`: the
 * handler checks it. `free`: the call does not concern segments.
 */
export type TaggedKeys = 'segment' | 'handled' | 'free';

/**
 * One request and its answer, as shown in the documentation. A test sends it to a running service. Times, tokens and other
 * values that differ with each run are compared by form only.
 */
export interface Example {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The text of a file, of the first media type that the call accepts. */
  readonly upload?: string;
  /** JSON, or the text of a stream; absent if there is none. */
  readonly answer?: unknown;
}

/** One call: it types the handler, validates requests, and generates the OpenAPI document and the clients. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** RFC 6570 level 1: `/api/users/{user}`. */
  readonly path: string;
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  /** Details in Markdown. */
  readonly description?: string;
  readonly access: Access;
  /** Absent: keys with tags may not make the call. */
  readonly taggedKeys?: TaggedKeys;
  /** One of the seed's seven calls: in evaluation mode it needs no token and accepts any valid one. */
  readonly seed?: true;
  readonly params?: TObject;
  readonly query?: TObject;
  readonly body?: TSchema;
  /** The media types of a streamed body of any size, instead of `body`. */
  readonly uploads?: readonly string[];
  readonly headers?: TObject;
  /** Answers 304 to an `If-None-Match` with the current tag. */
  readonly conditional?: true;
  /** Takes the header `Consistency`, whose value is read without regard to case. */
  readonly consistent?: true;
  /** With `Prefer: respond-async` a job answers it: 202 and its id. */
  readonly deferrable?: true;
  /**
   * The one success status and its JSON; `null` where there is none: nothing at all, or a stream of `media`. Where there are both,
   * the stream is for those who accept nothing else.
   */
  readonly success: {
    readonly status: 200 | 201 | 202 | 204;
    readonly body: TSchema | null;
    readonly media?: string | readonly string[];
  };
  readonly problems?: readonly ProblemCode[];
  readonly example?: Example;
}

const declared: Endpoint[] = [];

/** Every endpoint in the order of declaration, which the keys of a module do not keep. */
export const declaredEndpoints: readonly Endpoint[] = declared;

type Part<E, K extends string> = E extends { readonly [P in K]: infer S extends TSchema }
  ? Static<S>
  : Record<string, never>;

export type Params<E extends Endpoint> = Part<E, 'params'>;
export type Query<E extends Endpoint> = Part<E, 'query'>;
export type Body<E extends Endpoint> = E extends { readonly body: infer S extends TSchema } ? Static<S> : undefined;
export type Answer<E extends Endpoint> = E['success']['body'] extends infer S extends TSchema ? Static<S> : undefined;

/** Declares an endpoint; keeps its literal types. */
export function endpoint<const E extends Endpoint>(definition: E): E {
  declared.push(definition);
  return definition;
}
