import Type from 'typebox';
import { strict, Time } from './common.ts';
import { endpoint } from './endpoint.ts';

const Count = Type.Integer({ minimum: 0 });

export const listAttributes = endpoint({
  method: 'GET',
  path: '/api/attributes',
  id: 'listAttributes',
  tag: 'users',
  summary: 'The attributes of users, with types and examples, from a sample; most common first',
  access: 'viewer',
  taggedKeys: 'free',
  success: {
    status: 200,
    body: strict(
      {
        attributes: Type.Array(
          strict({
            name: Type.String({ description: 'As used in conditions: a name, or a dotted path.' }),
            types: Type.Record(Type.String(), Count, {
              description: 'How many of the sampled users have a value of each type, by the names of `$type`.',
            }),
            examples: Type.Array(Type.Unknown(), { maxItems: 5 }),
            users: Type.Integer({ minimum: 0, description: 'How many of the sampled users have it.' }),
          }),
          { maxItems: 1000 },
        ),
        sampled_at: Time,
        sampled_users: Type.Integer({ minimum: 0, description: 'The number of users in the sample.' }),
        is_complete: Type.Boolean({ description: 'Whether the sample contains every user.' }),
      },
      { title: 'Attributes' },
    ),
  },
  problems: ['overloaded'],
  example: {
    answer: {
      attributes: [
        { name: 'country', types: { string: 2 }, examples: ['DE', 'NL'], users: 2 },
        { name: 'orders', types: { number: 1 }, examples: [5], users: 1 },
      ],
      sampled_at: '2026-11-26T08:00:00.000Z',
      sampled_users: 4,
      is_complete: true,
    },
  },
});
