import type { Command } from 'commander';
import type { Segment } from '../api.ts';
import { UsageError } from './exits.ts';

/** The part of a segment that its owner writes. */
export type DefinitionInput = Partial<Pick<Segment, 'description' | 'tags' | 'percentage' | 'condition'>>;

export interface DefinitionOptions {
  readonly description?: string;
  readonly tag?: string[];
  readonly percentage?: number;
  readonly condition?: Record<string, unknown>;
}

function percentageIn(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 100)) {
    throw new UsageError('--percentage takes a number from 0 to 100.');
  }
  return value;
}

function conditionIn(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError('--condition takes JSON, in quotes for the shell: \'{"country": "NL"}\'.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError('--condition takes a JSON object.');
  }
  return { ...value };
}

/** The options that `create` and `edit` share. */
export function takesDefinition(command: Command): Command {
  return command
    .option('--description <text>', 'for people to read')
    .option('--tag <tag...>', 'its tags, all of them')
    .option('--percentage <number>', 'a share of the users', percentageIn)
    .option('--condition <json>', 'a query filter on the attributes', conditionIn);
}

export function definitionOf({ description, tag, percentage, condition }: DefinitionOptions): DefinitionInput {
  return {
    ...(description !== undefined && { description }),
    ...(tag !== undefined && { tags: tag }),
    ...(percentage !== undefined && { percentage }),
    ...(condition !== undefined && { condition }),
  };
}
