import type { DefinitionSource } from '../src/segmentation/definition.ts';

/** A plain list: a segment that nothing but overrides lets anybody into. */
export const plainList: DefinitionSource = {
  id: 1,
  slug: 'A',
  salt: 's',
  percentage: null,
  ramp: null,
  layer: null,
  bucket_by: null,
  condition: null,
  active_from: null,
  active_until: null,
};
