import { invalid } from '@kohort/contract';

/**
 * Refuses names that no condition can refer to: empty ones, and those with a dot or a leading `$`. A patch may still remove such a
 * name by null.
 * @throws Problem 400 with the place of the first.
 */
export function checkAttributeNames(
  attributes: Readonly<Record<string, unknown>>,
  { isPatch }: { isPatch: boolean },
): void {
  const stack: { readonly value: unknown; readonly path: string }[] = [{ value: attributes, path: '/body/attributes' }];
  for (let one = stack.pop(); one !== undefined; one = stack.pop()) {
    if (typeof one.value !== 'object' || one.value === null) continue;
    const isArray = Array.isArray(one.value);
    for (const [name, value] of Object.entries(one.value)) {
      const at = `${one.path}/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const flaw = isArray || (isPatch && value === null) ? undefined : flawOfName(name);
      if (flaw !== undefined) throw invalid(at, faults[flaw]);
      stack.push({ value, path: at });
    }
  }
}

/** Why no condition can refer to an attribute of this name. */
export type NameFlaw = 'empty' | 'dot' | 'dollar';

export function flawOfName(name: string): NameFlaw | undefined {
  if (name === '') return 'empty';
  if (name.includes('.')) return 'dot';
  return name.startsWith('$') ? 'dollar' : undefined;
}

const faults: Readonly<Record<NameFlaw, string>> = {
  empty: 'must not be empty: no condition could ask for it',
  dot: 'must not hold a dot: no condition could ask for it',
  dollar: 'must not begin with $: no condition could ask for it',
};
