import type { Static, TObject, TSchema } from 'typebox';
import type { ProblemCode } from './problem.ts';

export const roles = ['member', 'viewer', 'editor', 'admin'] as const;
/** Ordered: each role may do what the ones before it may. */
export type Role = (typeof roles)[number];

/**
 * Who may call. `public`: anyone. `self`: a member for their own user, everybody else from `viewer` up.
 * `session`: any account that signed in, but no API key. A role: that role or a higher one.
 */
export type Access = 'public' | 'self' | 'session' | Role;

/** One call: what the server validates, the handler is typed by, and the OpenAPI document and the clients are made of. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** RFC 6570 level 1: `/api/users/{user}`. */
  readonly path: string;
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  readonly access: Access;
  /** One of the seed's seven calls: needs no token in evaluation mode, and any good token will do there. */
  readonly seed?: true;
  readonly params?: TObject;
  readonly query?: TObject;
  readonly body?: TSchema;
  /** The media types of a body that is streamed and of any size, instead of `body`. */
  readonly uploads?: readonly string[];
  readonly headers?: TObject;
  /** The one success status and its JSON; `null` where there is none: nothing at all, or a stream of `media`. */
  readonly success: {
    readonly status: 200 | 201 | 202 | 204;
    readonly body: TSchema | null;
    readonly media?: string | readonly string[];
  };
  readonly problems?: readonly ProblemCode[];
}

type Part<E, K extends string> = E extends { readonly [P in K]: infer S extends TSchema }
  ? Static<S>
  : Record<string, never>;

export type Params<E extends Endpoint> = Part<E, 'params'>;
export type Query<E extends Endpoint> = Part<E, 'query'>;
export type Body<E extends Endpoint> = E extends { readonly body: infer S extends TSchema } ? Static<S> : undefined;
export type Answer<E extends Endpoint> = E['success']['body'] extends infer S extends TSchema ? Static<S> : undefined;

/** Keeps the literal types of an endpoint. */
export function endpoint<const E extends Endpoint>(definition: E): E {
  return definition;
}
