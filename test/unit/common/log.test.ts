// The logger that tests pass in says nothing; a child of a real one tells which component spoke.

import { pino } from 'pino';
import { expect, test } from 'vitest';
import { childLogger, silent } from '../../../src/common/log.ts';

test('silent discards and says that no level is on', () => {
  const levels = ['error', 'warn', 'info', 'debug', 'trace'] as const;
  for (const level of levels) {
    expect(silent.isLevelEnabled(level)).toBe(false);
    expect(silent[level]({ tag: 1 }, 'x')).toBeUndefined();
  }
});

test('a child carries its component and the fields of the call', () => {
  const lines: string[] = [];
  const parent = pino({ level: 'debug', base: null, timestamp: false }, { write: (line) => lines.push(line) });
  const log = childLogger(parent, 'client');
  log.debug({ tag: 7 }, 'flushed');
  log.trace({ tag: 8 }, 'too fine');
  expect(log.isLevelEnabled('debug')).toBe(true);
  expect(log.isLevelEnabled('trace')).toBe(false);
  expect(lines.map((line) => JSON.parse(line))).toEqual([{ level: 20, component: 'client', tag: 7, msg: 'flushed' }]);
});
