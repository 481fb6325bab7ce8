import { UsageError } from './exits.ts';

/** Reads the value of an option that takes a whole number. */
export function countIn(option: string): (text: string) => number {
  return (text) => {
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`${option} takes a whole number, at least 1.`);
    return Number(text);
  };
}
