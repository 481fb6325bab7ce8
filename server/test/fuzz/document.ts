import { Compile } from 'typebox/compile';

/** As much of JSON Schema as our document uses. */
export interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly description?: string;
  readonly 'x-empty-is-absent'?: boolean;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly schema: Schema;
}

export type Access = 'public' | 'self' | 'session' | 'member' | 'viewer' | 'editor' | 'admin';

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly access: Access;
  readonly parameters: readonly Parameter[];
  readonly body: Schema | undefined;
  readonly uploads: readonly string[];
  /** By status: what kinds of content, and the schema of JSON. */
  readonly responses: ReadonlyMap<number, ReadonlyMap<string, Schema>>;
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Content & RawOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface RawOperation {
  readonly operationId: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

/** The same with every reference replaced by what it names; none of our schemas holds itself. */
function dereferenced(value: unknown, schemas: OpenApi['components']['schemas']): unknown {
  if (Array.isArray(value)) return value.map((one) => dereferenced(one, schemas));
  if (typeof value !== 'object' || value === null) return value;
  if ('$ref' in value) return dereferenced(schemas[String(value.$ref).split('/').at(-1) ?? ''], schemas);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, dereferenced(one, schemas)]));
}

/** The operations of a document, which is all that is known about the service. */
export function operationsOf(document: OpenApi): Operation[] {
  const paths = dereferenced(document.paths, document.components.schemas) as OpenApi['paths'];
  const contentOf = ({ content = {} }: Content) =>
    new Map(Object.entries(content).map(([type, { schema }]) => [type, schema] as const));
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]) => {
      const takes = contentOf(raw.requestBody ?? {});
      const body = takes.get('application/json');
      return {
        id: raw.operationId,
        method: method.toUpperCase(),
        path,
        access: (/^Access: (\w+)/.exec(raw.description)?.[1] ?? 'admin') as Access,
        parameters: raw.parameters,
        body,
        uploads: body ? [] : [...takes.keys()],
        responses: new Map(Object.entries(raw.responses).map(([status, one]) => [Number(status), contentOf(one)])),
      };
    }),
  );
}

const compiled = new WeakMap<Schema, (value: unknown) => boolean>();

/** Whether a value is what a schema of the document says. */
export function accepts(schema: Schema, value: unknown): boolean {
  let check = compiled.get(schema);
  if (!check) {
    const validator = Compile(schema as never);
    check = (one) => validator.Check(one);
    compiled.set(schema, check);
  }
  return check(value);
}
