import type { FieldError } from '@kohort/contract';
import type { Database } from '../../postgres/database.ts';
import { sqlState } from '../../postgres/errors.ts';
import { type AttributeUse, attributeUses } from './attribute-uses.ts';
import { selectPathsFound } from './attributes.sql.ts';
import { type AttributesContext, attributesOf } from './sample.ts';

/** The most places that are checked against all users. More warnings about one condition would not help. */
const maxChecked = 10;
const statementTimeoutMs = 2_000;
const queryCanceled = '57014';

const typeNames: Readonly<Record<string, string>> = { boolean: 'true or false', array: 'a list' };

/**
 * Lax mode descends into the elements of arrays, like MongoDB's paths. To find an array itself takes strict mode, which descends
 * into none, so that is checked for single names only, not for dotted paths.
 */
function jsonPath({ name }: AttributeUse, types: readonly string[]): string {
  const path = ['$', ...name.split('.').map((part) => JSON.stringify(part))].join('.');
  const isArray = types.includes('array');
  if (types.length === 0 || (isArray && name.includes('.'))) return `lax ${path}`;
  return `${isArray ? 'strict' : 'lax'} ${path} ? (${types.map((type) => `@.type() == "${type}"`).join(' || ')})`;
}

function looksUnknown(
  { name, types }: AttributeUse,
  known: ReadonlyMap<string, Readonly<Record<string, number>>>,
): boolean {
  const found = known.get(name);
  if (!found) return true;
  if (types.length === 0) return false;
  // The sample does not record the types of array elements.
  return !('array' in found) && !types.some((type) => (type === 'boolean' ? 'bool' : type) in found);
}

async function foundAmongAll(db: Database, uses: readonly AttributeUse[]): Promise<boolean[] | undefined> {
  const paths = uses.flatMap((use) => [jsonPath(use, []), jsonPath(use, use.types)]);
  try {
    return await db.transaction((tx) => selectPathsFound(tx, paths), {
      readOnly: true,
      statementTimeout: statementTimeoutMs,
      plannerOff: ['jit'],
    });
  } catch (error) {
    if (sqlState(error) === queryCanceled) return undefined;
    throw error;
  }
}

/**
 * Warns about conditions that are valid but look like a mistake. The sample selects the candidates; each is confirmed against
 * all users.
 */
export async function warningsAbout(
  context: AttributesContext,
  condition: Readonly<Record<string, unknown>> | null,
): Promise<FieldError[]> {
  if (condition === null) return [];
  const { attributes } = await attributesOf(context);
  const known = new Map(attributes.map(({ name, types }) => [name, types]));
  const suspects: AttributeUse[] = [];
  for (const use of attributeUses(condition, '/body/condition')) {
    if (suspects.length < maxChecked && looksUnknown(use, known)) suspects.push(use);
  }
  if (suspects.length === 0) return [];
  const found = await foundAmongAll(context.db, suspects);
  return suspects.flatMap(({ path, name, types }, i) => {
    const [hasName, hasType] = [found?.[2 * i], found?.[2 * i + 1]];
    if (hasName === false) return [{ path, message: `no user has the attribute ${name}` }];
    const wanted = types.map((type) => typeNames[type] ?? `a ${type}`).join(' or ');
    if (hasType === false) return [{ path, message: `for no user is ${name} ${wanted}` }];
    return [];
  });
}
