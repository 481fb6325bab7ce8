import type { Definition } from './definition.ts';
import type { Mode } from './overrides.ts';

export type Source = Mode | 'percentage' | 'condition' | 'percentage+condition' | 'none';

export interface Membership {
  readonly definition: Definition;
  readonly source: Source;
}

/** By which of its rules a segment lets in those whom no override decides about; `none` for a list. */
export function ruleSource({ share, condition }: Pick<Definition, 'share' | 'condition'>): Source {
  if (share === null) return condition === null ? 'none' : 'condition';
  return condition === null ? 'percentage' : 'percentage+condition';
}
