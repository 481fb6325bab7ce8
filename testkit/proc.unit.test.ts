import { expect, it } from 'vitest';
import { parseMachineTime, parseStat, treeOf } from './proc.ts';

it('reads parent and times after a name that may hold anything', () => {
  const line = '4711 (a b) (c) S 42 4711 4711 0 -1 4194560 1 2 3 4 150 75 0 0 20 0 11 0 0';
  expect(parseStat(line)).toEqual({ parent: 42, cpuSeconds: 2.25 });
  expect(parseStat('')).toBeUndefined();
});

it('reads how much of the machine was idle, and how much others had', () => {
  expect(parseMachineTime('cpu  10 20 30 400 5 6 7 22 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n')).toEqual({
    all: 500,
    idle: 405,
    stolen: 22,
  });
  expect(parseMachineTime('')).toBeUndefined();
});

it('finds a process and all under it', () => {
  const stats = new Map([
    [1, { parent: 0 }],
    [2, { parent: 1 }],
    [3, { parent: 2 }],
    [4, { parent: 1 }],
    [5, { parent: 4 }],
  ]);
  expect([...treeOf(2, stats)].sort()).toEqual([2, 3]);
  expect([...treeOf(1, stats)].sort()).toEqual([1, 2, 3, 4, 5]);
  expect(treeOf(9, stats).size).toBe(0);
});
