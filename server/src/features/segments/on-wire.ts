import type { DefinitionFields, RuleFields } from './segment-rows.sql.ts';

/** A rule in wire form: times as texts, a layer as its slug and range. */
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

/** A definition in wire form. Its condition names other segments by slug already. */
export function definitionOnWire(fields: DefinitionFields) {
  const { slug, description, tags } = fields;
  return { slug, description, tags: [...tags], ...ruleOnWire(fields) };
}
