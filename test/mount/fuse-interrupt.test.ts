// What signals do to callers: fatal ones release them at once, harmless ones are waited out, files that block by nature
// give way to any. Each caller is a process of its own, and so is the daemon.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connection } from '../support/fuseconnection.ts';
import { fusectl } from '../support/fusectl.ts';
import { type ToyMount, type ToyMountOptions, toyMount, until, whyNoMounts } from '../support/toymount.ts';

/** Beyond any test's time limit: what ends a wait is then never this. */
const NEVER = 10_000_000;

/** SIGALRM with a handler, installed without SA_RESTART, then a read; says what came of it. */
const READ_WITH_ALARM = `
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
fd = os.open(sys.argv[1], os.O_RDONLY)
buffer = ctypes.create_string_buffer(10)
print("reading", flush=True)
result = libc.read(fd, buffer, 10)
print("result", result, ctypes.get_errno(), flush=True)
`;

const SETLKW = `
import ctypes, fcntl, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDWR)
print("reading", flush=True)
fcntl.lockf(fd, fcntl.LOCK_EX)
`;

async function mounted(body: (toy: ToyMount) => Promise<void>, options: ToyMountOptions = {}): Promise<void> {
  await fusectl();
  const toy = await toyMount(options);
  try {
    await body(toy);
    const report = await until(
      () => toy.report(),
      ({ stats, openFiles }) => stats.inFlight === 0 && openFiles === 0,
    );
    expect(report.stats.lateReplies).toBe(0);
    expect(await connection(toy.ready.connection).waiting()).toBe(0);
  } finally {
    await toy[Symbol.asyncDispose]();
  }
}

interface Caller {
  child: ChildProcess;
  /** Its standard output, whole. */
  ended: Promise<{ code: number | null; signal: string | null; out: string }>;
}

/** A process that hangs on a file of the toy; returned when its request is in flight. */
async function hanging(toy: ToyMount, command: string, ...args: string[]): Promise<Caller> {
  const before = (await toy.report()).stats.inFlight;
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, out }));
  await until(
    () => toy.report(),
    ({ stats }) => stats.inFlight > before,
  );
  return { child, ended };
}

describe.skipIf(whyNoMounts() !== undefined)('a signal to a caller', () => {
  test.each(['SIGKILL', 'SIGINT', 'SIGTERM', 'SIGQUIT'] as const)(
    '%s releases a reader that would hang for ever',
    (signal) =>
      mounted(
        async (toy) => {
          const { child, ended } = await hanging(toy, 'cat', join(toy.mountpoint, 'hang'));
          child.kill(signal);
          expect((await ended).signal).toBe(signal);
          expect((await toy.report()).seen).toMatchObject({ aborted: 1, dying: 1 });
        },
        { intrgrace: NEVER },
      ),
  );

  test('a harmless one is waited out, and a fatal one after it is still noticed', () =>
    mounted(
      async (toy) => {
        const { child, ended } = await hanging(toy, 'python3', '-c', READ_WITH_ALARM, join(toy.mountpoint, 'hang'));
        child.kill('SIGALRM');
        await until(
          () => toy.report(),
          ({ stats }) => stats.interrupts === 1,
        );
        expect((await toy.report()).seen.aborted).toBe(0);
        // The kernel sends no second INTERRUPT for this one.
        child.kill('SIGTERM');
        expect((await ended).signal).toBe('SIGTERM');
        const { stats, seen } = await toy.report();
        expect(stats.interrupts).toBe(1);
        expect(seen).toMatchObject({ aborted: 1, dying: 1 });
      },
      { intrgrace: NEVER },
    ));

  test('a harmless one ends the wait after the grace', () =>
    mounted(
      async (toy) => {
        const { child, ended } = await hanging(toy, 'python3', '-c', READ_WITH_ALARM, join(toy.mountpoint, 'hang'));
        child.kill('SIGALRM');
        expect((await ended).out).toContain('result -1 4');
        expect((await toy.report()).seen).toMatchObject({ aborted: 1, dying: 0 });
      },
      { intrgrace: 50 },
    ));

  test('a harmless one ends the wait on a stream soon', () =>
    mounted(
      async (toy) => {
        const { child, ended } = await hanging(toy, 'python3', '-c', READ_WITH_ALARM, join(toy.mountpoint, 'stream'));
        child.kill('SIGALRM');
        expect((await ended).out).toContain('result -1 4');
        expect((await toy.report()).seen).toMatchObject({ aborted: 1, dying: 0 });
      },
      { intrgrace: NEVER },
    ));

  test('intr=now: any signal ends any wait', () =>
    mounted(
      async (toy) => {
        const { child, ended } = await hanging(toy, 'python3', '-c', READ_WITH_ALARM, join(toy.mountpoint, 'hang'));
        child.kill('SIGALRM');
        expect((await ended).out).toContain('result -1 4');
      },
      { intr: 'now', intrgrace: NEVER },
    ));

  test('intr=fatal: a stream too is left to wait until the caller is killed', () =>
    mounted(
      async (toy) => {
        const { child, ended } = await hanging(toy, 'python3', '-c', READ_WITH_ALARM, join(toy.mountpoint, 'stream'));
        child.kill('SIGALRM');
        await until(
          () => toy.report(),
          ({ stats }) => stats.interrupts === 1,
        );
        expect((await toy.report()).seen.aborted).toBe(0);
        child.kill('SIGKILL');
        expect((await ended).signal).toBe('SIGKILL');
      },
      { intr: 'fatal', intrgrace: 0 },
    ));

  test('a process that waits for a lock can be killed', () =>
    mounted(
      async (toy) => {
        const { child, ended } = await hanging(toy, 'python3', '-c', SETLKW, join(toy.mountpoint, 'stream'));
        child.kill('SIGKILL');
        expect((await ended).signal).toBe('SIGKILL');
        expect((await toy.report()).seen.aborted).toBe(1);
      },
      { intrgrace: NEVER, settings: { posixLocks: true } },
    ));

  test('killing many at once releases all of them', () =>
    mounted(
      async (toy) => {
        const callers = [];
        for (let i = 0; i < 20; i++) callers.push(await hanging(toy, 'cat', join(toy.mountpoint, 'hang')));
        for (const { child } of callers) child.kill('SIGKILL');
        for (const { ended } of callers) expect((await ended).signal).toBe('SIGKILL');
        expect((await toy.report()).seen.aborted).toBe(20);
      },
      { intrgrace: NEVER },
    ));
});
