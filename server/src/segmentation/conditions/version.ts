// Each repetition is closed by a character it cannot hold itself, so a text is read once: linear.
const versionForm =
  /^[vV]?([0-9]+)(?:\.([0-9]+)(?:\.([0-9]+))?)?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const numeralForm = /^[0-9]+$/;
const lengthDigits = 6;

/**
 * The sort key of a version by semver 2.0.0; undefined for a text that is none. Keys compare as versions do, byte by byte, and
 * equal versions have equal keys. Read with some tolerance: a leading `v`, `1` and `1.2` for `1.0.0` and `1.2.0`, and leading
 * zeros (`2026.04.01`) are fine. Build metadata has no say in precedence, so it has no part in the key.
 *
 * `1.10.0-rc.2` becomes `000001 1` `000002 10` `000001 0` `2rc!` `1 000001 2` `0`, without the blanks: numerals carry their
 * length in front; of a pre-release each identifier is marked as numeral (1) or word (2), and 0 ends it; a release has a 9,
 * which is above all its pre-releases. The SQL function kohort_version_key makes the same keys.
 */
export function versionKey(text: string): string | undefined {
  const match = versionForm.exec(text);
  if (match === null) return undefined;
  const [, major = '0', minor = '0', patch = '0', preRelease] = match;
  return numeralKey(major) + numeralKey(minor) + numeralKey(patch) + preReleaseKey(preRelease);
}

/** The numerals that a key begins with, and whether it is that of a pre-release. */
export function releaseOf(key: string): {
  readonly numerals: readonly [major: string, minor: string, patch: string];
  readonly isPreRelease: boolean;
} {
  let at = 0;
  const next = (): string => {
    const start = at + lengthDigits;
    at = start + Number(key.slice(at, start));
    return key.slice(start, at);
  };
  const numerals = [next(), next(), next()] as const;
  return { numerals, isPreRelease: key.slice(at) !== '9' };
}

function preReleaseKey(preRelease: string | undefined): string {
  if (preRelease === undefined) return '9';
  const identifiers = preRelease
    .split('.')
    // The mark after a word is below every character of one, so the shorter of two with a common start comes first.
    .map((identifier) => (numeralForm.test(identifier) ? `1${numeralKey(identifier)}` : `2${identifier}!`));
  return `${identifiers.join('')}0`;
}

/** Compares as text, because a numeral may be longer than a double is exact. */
function numeralKey(numeral: string): string {
  const digits = withoutLeadingZeros(numeral);
  return String(digits.length).padStart(lengthDigits, '0') + digits;
}

function withoutLeadingZeros(numeral: string): string {
  let start = 0;
  while (start < numeral.length - 1 && numeral.charCodeAt(start) === 48) start++;
  return start === 0 ? numeral : numeral.slice(start);
}
