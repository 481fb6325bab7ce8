import { expect, it } from 'vitest';
import { parseOutcome } from './wrk.ts';

const RESULT = '{"requests":28571,"seconds":2.000123,"p50":4.1,"p99":9.87,"refused":3,"broken":1,"issued":14300}';

it('reads the last word of a script among what wrk says itself', () => {
  const output = `Running 2s test @ http://127.0.0.1:1\n  2 threads and 64 connections\n\nRESULT ${RESULT}\n`;
  expect(parseOutcome(output)).toEqual({
    requests: 28571,
    seconds: 2.000123,
    p50: 4.1,
    p99: 9.87,
    refused: 3,
    broken: 1,
    issued: 14300,
  });
});

it('does not take silence or half a result for one', () => {
  expect(() => parseOutcome('unable to connect to 127.0.0.1:1')).toThrow('unable to connect');
  expect(() => parseOutcome('RESULT {"requests":1}')).toThrow('no seconds');
});
