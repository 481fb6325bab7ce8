import { attributes as contract } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import { type AttributesContext, attributesOf } from './attributes.ts';

export function attributeRoutes({ route }: Router, context: AttributesContext): void {
  route(contract.listAttributes, async () => {
    const { attributes, sampled_at, users, isComplete } = await attributesOf(context);
    return {
      attributes: attributes.map(({ name, types, examples, users }) => ({
        name,
        types,
        examples: [...examples],
        users,
      })),
      sampled_at: sampled_at.toISOString(),
      sampled_users: users,
      is_complete: isComplete,
    };
  });
}
