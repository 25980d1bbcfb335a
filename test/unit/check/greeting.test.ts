// Which versions the checker finds out that a server speaks, from what it answers to each Tversion, and what it says of
// a server that speaks none.

import { expect, test } from 'vitest';
import { type Answer, show } from '../../../src/check/answers.ts';
import { Greeting } from '../../../src/check/greeting.ts';
import { Silence } from '../../../src/check/probe.ts';
import { ConfigError, ConnectionError } from '../../../src/common/errors.ts';

type Said = string | number | Error;

const answerOf = (said: string | number): Answer =>
  typeof said === 'string'
    ? { type: 'Rversion', tag: 0xffff, msize: 8192, version: said }
    : { type: 'Rlerror', tag: 0xffff, ecode: said };

/** A server that says this to each version, and the versions that it was asked for. */
function server(says: Readonly<Record<string, Said>>): { greeting: Greeting; asked: string[] } {
  const asked: string[] = [];
  const greeting = new Greeting(async (version) => {
    asked.push(version);
    const said = says[version] ?? new Error(`asked for ${version}`);
    if (said instanceof Error) throw said;
    return answerOf(said);
  });
  return { greeting, asked };
}

const versions = (greeting: Greeting) => greeting.agreed.map(({ version }) => version);

test('a server of all dialects is asked for the best of each', async () => {
  const { greeting, asked } = server({ '9P2000.L': '9P2000.L', '9P2000.u': '9P2000.u' });
  await greeting.learn('dotl');
  await greeting.learn('plan9');
  expect(versions(greeting)).toEqual(['9P2000.L', '9P2000.u']);
  expect(asked).toEqual(['9P2000.L', '9P2000.u']);
});

test('a server that agrees to 9P2000 when it is asked for .L is asked whether it has .u', async () => {
  for (const [second, agreed] of [
    ['9P2000.u', '9P2000.u'],
    ['9P2000', '9P2000'],
  ] as const) {
    const { greeting, asked } = server({ '9P2000.L': '9P2000', '9P2000.u': second });
    await greeting.learn('dotl');
    await greeting.learn('plan9');
    expect(versions(greeting)).toEqual([agreed]);
    expect(greeting.of('dotl')).toEqual({ version: undefined, why: 'Tversion 9P2000.L: Rversion "9P2000"' });
    expect(asked).toEqual(['9P2000.L', '9P2000.u']);
  }
});

test('a server of .L that says nothing, hangs up or lets nobody in for another version is one of .L', async () => {
  for (const trouble of [
    new Silence('no answer to Tversion'),
    new ConnectionError('reset'),
    new ConfigError('no', 1),
  ]) {
    const { greeting } = server({ '9P2000.L': '9P2000.L', '9P2000.u': trouble, '9P2000': 5 });
    await greeting.learn('dotl');
    await greeting.learn('plan9');
    greeting.mustAgree();
    expect(versions(greeting)).toEqual(['9P2000.L']);
    const why = `Tversion 9P2000.u: ${trouble.message}; Tversion 9P2000: Rlerror EIO`;
    expect(greeting.of('plan9')).toEqual({ version: undefined, why });
  }
});

test('a server that does not answer the first question is asked no other', async () => {
  const { greeting, asked } = server({ '9P2000.L': new Silence('no answer to Tversion') });
  await expect(greeting.learn('dotl')).rejects.toThrow('no answer to Tversion');
  expect(asked).toEqual(['9P2000.L']);
});

test('a server that agrees to nothing is refused with what it said', async () => {
  const { greeting } = server({ '9P2000.L': 'unknown', '9P2000.u': 'unknown', '9P2000': 'unknown' });
  await greeting.learn('dotl');
  await greeting.learn('plan9');
  expect(() => greeting.mustAgree()).toThrow(
    'the server agrees to no version of 9P: Tversion 9P2000.L, 9P2000.u, 9P2000: Rversion "unknown"',
  );
});

test('an error is shown as its dialect has it', () => {
  const ename = 'file does not exist';
  expect(show({ type: 'Rerror', tag: 1, ename: '', ecode: 5 })).toBe('Rerror (type 107) EIO');
  expect(show({ type: 'Rerror', tag: 1, ename, ecode: 2 })).toBe(`Rerror ENOENT "${ename}"`);
  expect(show({ type: 'Rerror', tag: 1, ename, ecode: 0 })).toBe(`Rerror "${ename}"`);
});
