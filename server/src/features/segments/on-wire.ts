import type { DefinitionFields, RuleFields } from './segments.sql.ts';

/** A rule as the wire has it: times as texts, of a layer nothing but its slug and the range. */
function ruleOnWire({ percentage, ramp, layer, bucket_by, condition, active_from, active_until }: RuleFields) {
  return {
    percentage,
    condition,
    bucket_by,
    ramp: ramp && { ...ramp },
    layer: layer && { slug: layer.slug, from: layer.from, to: layer.to },
    active_from: active_from?.toISOString() ?? null,
    active_until: active_until?.toISOString() ?? null,
  };
}

/** A definition as the wire has it. Its condition names other segments by slug already. */
export function definitionOnWire(fields: DefinitionFields) {
  const { slug, description, tags } = fields;
  return { slug, description, tags: [...tags], ...ruleOnWire(fields) };
}
