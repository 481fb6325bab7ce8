import { invalid } from '@kohort/contract';

/**
 * Refuses names that no condition could ask for: empty ones, ones with a dot, ones that begin with `$`. A patch may still remove
 * such a name, by null.
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
      const fault = isArray || (isPatch && value === null) ? undefined : nameFault(name);
      if (fault !== undefined) throw invalid(at, fault);
      stack.push({ value, path: at });
    }
  }
}

function nameFault(name: string): string | undefined {
  if (name === '') return 'must not be empty: no condition could ask for it';
  if (name.includes('.')) return 'must not hold a dot: no condition could ask for it';
  return name.startsWith('$') ? 'must not begin with $: no condition could ask for it' : undefined;
}
