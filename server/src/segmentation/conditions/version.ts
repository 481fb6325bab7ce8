/**
 * A version by semver 2.0.0, read with some tolerance: a leading `v`, `1` and `1.2` for `1.0.0` and `1.2.0`, and leading
 * zeros (`2026.04.01`) are fine. Build metadata has no say in precedence, so it is not kept.
 */
export interface Version {
  readonly core: readonly [string, string, string];
  /** Identifiers of the pre-release; none for a release. */
  readonly preRelease: readonly string[];
}

// Each repetition is closed by a character it cannot hold itself, so a text is read once: linear.
const VERSION =
  /^[vV]?([0-9]+)(?:\.([0-9]+)(?:\.([0-9]+))?)?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const NUMERAL = /^[0-9]+$/;
const NO_PRE_RELEASE: readonly string[] = [];

/** Reads a version; undefined for anything that is none. */
export function parseVersion(value: unknown): Version | undefined {
  if (typeof value !== 'string') return undefined;
  const match = VERSION.exec(value);
  if (match === null) return undefined;
  const [, major = '0', minor = '0', patch = '0', preRelease] = match;
  return { core: [major, minor, patch], preRelease: preRelease?.split('.') ?? NO_PRE_RELEASE };
}

/** Negative, zero or positive by semver's precedence. */
export function compareVersions(a: Version, b: Version): number {
  return (
    compareNumerals(a.core[0], b.core[0]) ||
    compareNumerals(a.core[1], b.core[1]) ||
    compareNumerals(a.core[2], b.core[2]) ||
    comparePreReleases(a.preRelease, b.preRelease)
  );
}

function comparePreReleases(a: readonly string[], b: readonly string[]): number {
  // A release stands above its own pre-releases; among these the longer of two with a common start stands above.
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    const order = compareIdentifiers(left, right);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareIdentifiers(a: string, b: string): number {
  const numeric = NUMERAL.test(a);
  if (numeric !== NUMERAL.test(b)) return numeric ? -1 : 1;
  if (numeric) return compareNumerals(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Compares as text, because a numeral may be longer than a double is exact. */
function compareNumerals(a: string, b: string): number {
  if (a === b) return 0;
  const left = withoutLeadingZeros(a);
  const right = withoutLeadingZeros(b);
  return left.length - right.length || (left < right ? -1 : left > right ? 1 : 0);
}

function withoutLeadingZeros(numeral: string): string {
  let start = 0;
  while (start < numeral.length - 1 && numeral.charCodeAt(start) === 48) start++;
  return start === 0 ? numeral : numeral.slice(start);
}
