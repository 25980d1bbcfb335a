import { expect, test } from 'vitest';
import { plainEnvironment, plainFlags } from '../../../src/cli/inherited.ts';

test('what is for debugging Node is taken out of an environment, and not left out: spawn() would add it again', () => {
  const given = {
    PATH: '/bin',
    NODE_OPTIONS: '-r x',
    NODE_V8_COVERAGE: '/x',
    NODE_EXTRA_CA_CERTS: '/ca',
    MY_NODE_X: 'y',
  };
  const plain = plainEnvironment(given);
  expect(plain).toEqual({ PATH: '/bin', NODE_EXTRA_CA_CERTS: '/ca', MY_NODE_X: 'y' });
  expect(Object.keys(plain)).toContain('NODE_V8_COVERAGE');
});

test('flags', () => {
  const given = ['--inspect', '--inspect-brk=0', '--cpu-prof', '--prof', '--max-old-space-size=9', '--import', 'x.mjs'];
  const kept = ['--max-old-space-size=9', '--import', 'x.mjs'];
  expect(plainFlags(given, new Set())).toEqual(kept);
  expect(plainFlags(given, new Set(['--disable-sigusr1']))).toEqual([...kept, '--disable-sigusr1']);
  expect(plainFlags(['--disable-sigusr1'], new Set(['--disable-sigusr1']))).toEqual(['--disable-sigusr1']);
});
