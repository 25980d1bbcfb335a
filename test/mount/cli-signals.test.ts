// What each signal there is does to the process of a mount, in the background and in the foreground: whatever ends it, the
// mount is gone afterwards, nothing else is left, and whoever waits for the process is told what it ended of. Crashes too.
// Of the real-time signals three are tried; NINEFS_SIGNALS=all tries all of them.

import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { type Cli, ninefsPath, start, startServer } from '../support/cli.ts';
import { pidInLog, statOf, watcherOf, withPlace } from '../support/daemons.ts';
import { type End, Reaper } from '../support/reaper.ts';
import { output } from '../support/shell.ts';
import { until } from '../support/until.ts';

const { signals } = constants;
const FIRST_REALTIME = 34;
const LAST = 64;

/** They ask for the end, and the end is a good one. */
const ASKS = [signals.SIGHUP, signals.SIGINT, signals.SIGTERM];
/** They end no process, or Node or ninefs sees to it that they do not. */
const HARMLESS = [
  signals.SIGCHLD,
  signals.SIGCONT,
  signals.SIGURG,
  signals.SIGWINCH,
  signals.SIGPIPE,
  signals.SIGXFSZ,
  signals.SIGUSR1,
  signals.SIGUSR2,
];
const STOPS = [signals.SIGSTOP, signals.SIGTSTP, signals.SIGTTIN, signals.SIGTTOU];
/** Libc's own, which nobody else is to send. */
const LIBC = [32, 33];
/** All others end the process as if ninefs did not listen to them. SIGKILL does anyway. */
const OTHERS = Array.from({ length: LAST }, (_, i) => i + 1).filter(
  (number) =>
    ![...ASKS, ...HARMLESS, ...STOPS, ...LIBC].includes(number) &&
    (number <= FIRST_REALTIME || number === 50 || number === LAST || process.env['NINEFS_SIGNALS'] === 'all'),
);

const nameOf = (number: number) =>
  Object.entries(signals).find(([, each]) => each === number)?.[0] ?? `signal ${number}`;

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

interface Live {
  mountpoint: string;
  pid: number;
  /** How it ended; the mount and all of its processes are gone too. */
  ended(): Promise<End>;
}

type Kind = 'in the background' | 'in the foreground';

function withMount(kind: Kind, body: (live: Live) => Promise<void>, env?: NodeJS.ProcessEnv): Promise<void> {
  return withPlace(async ({ mountpoint, log }) => {
    const background = kind === 'in the background';
    const args = ['mount', server.address, mountpoint, '-o', `log=${log}`, ...(background ? [] : ['-f'])];
    await using reaper = new Reaper([process.execPath, ninefsPath, ...args], { ...process.env, ...env });
    await reaper.line(background ? /^\d+ exit 0$/m : /^mounted /m);
    const pid = await pidInLog(log);
    const ended = async () => {
      const end = await reaper.endOf(pid);
      expect(await findMount(mountpoint)).toBeUndefined();
      return end;
    };
    await body({ mountpoint, pid, ended });
  });
}

const answers = (mountpoint: string) => output('ls -l', { cwd: mountpoint, timeout: 20_000 });

const able = existsSync('/dev/fuse');
describe.skipIf(!able).each<Kind>(['in the background', 'in the foreground'])('%s', (kind) => {
  test.concurrent.each(ASKS.map((number) => [nameOf(number), number] as const))(
    '%s unmounts, and all is well',
    (_, number) =>
      withMount(kind, async ({ pid, ended }) => {
        process.kill(pid, number);
        expect(await ended()).toBe('exit 0');
      }),
  );

  test.concurrent.each(OTHERS.map((number) => [nameOf(number), number] as const))(
    '%s ends it, and the mount',
    (_, number) =>
      withMount(kind, async ({ pid, ended }) => {
        process.kill(pid, number);
        expect(await ended()).toBe(`signal ${number}`);
      }),
  );

  test.concurrent('the others leave it alone', () =>
    withMount(kind, async ({ mountpoint, pid, ended }) => {
      for (const number of HARMLESS) {
        process.kill(pid, number);
        await answers(mountpoint);
      }
      process.kill(pid, 'SIGTERM');
      expect(await ended()).toBe('exit 0');
    }));

  test.concurrent('those that stop it do no more than that', () =>
    withMount(kind, async ({ mountpoint, pid, ended }) => {
      for (const number of STOPS) {
        process.kill(pid, number);
        // a process without a terminal is stopped by SIGSTOP alone (setpgid(2))
        if (number === signals.SIGSTOP) await until('it is stopped', async () => (await statOf(pid))[0] === 'T');
        process.kill(pid, 'SIGCONT');
        await answers(mountpoint);
      }
      process.kill(pid, 'SIGTERM');
      expect(await ended()).toBe('exit 0');
    }));

  test.concurrent('SIGQUIT while somebody uses the mount detaches it', () =>
    withMount(kind, async ({ mountpoint, pid, ended }) => {
      const user = start(['serve', 'memory:', '--listen', 'tcp!127.0.0.1!0'], { cwd: mountpoint });
      try {
        await user.output(/listening/);
        process.kill(pid, 'SIGQUIT');
        expect(await ended()).toBe(`signal ${signals.SIGQUIT}`);
      } finally {
        await user.kill();
      }
    }));

  test.concurrent('SIGUSR1 opens no inspector', () =>
    withMount(kind, async ({ mountpoint, pid, ended }) => {
      const sockets = () => output(`ls -l /proc/${pid}/fd | grep -c socket:`);
      const threads = async () => (await readdir(`/proc/${pid}/task`)).length;
      // the pool has all of its threads
      for (let i = 0; i < 10; i++) await answers(mountpoint);
      const before = [await sockets(), await threads()];
      process.kill(pid, 'SIGUSR1');
      // the inspector would be there by then, with a thread of its own
      for (let i = 0; i < 10; i++) await answers(mountpoint);
      expect([await sockets(), await threads()]).toEqual(before);
      process.kill(pid, 'SIGTERM');
      expect(await ended()).toBe('exit 0');
    }));
});

/** Breaks a process of Node in this way when SIGWINCH comes. */
const CRASHES = {
  'an exception that nobody catches': "setTimeout(() => { throw new Error('a bug'); })",
  'a rejection that nobody catches': "void Promise.reject(new Error('a bug'))",
  'abort()': 'process.abort()',
  'a fault': "process.kill(process.pid, 'SIGSEGV')",
  'no memory': 'for (const a = [];;) a.push({})',
  'an exit that nobody expects': 'process.reallyExit(3)',
} as const;

/** Which signal V8 ends with when there is no memory depends on its version. */
const ENDS: Readonly<Record<keyof typeof CRASHES, RegExp>> = {
  'an exception that nobody catches': /^exit 70$/,
  'a rejection that nobody catches': /^exit 70$/,
  'abort()': /^signal 6$/,
  'a fault': /^signal 11$/,
  'no memory': /^signal (4|5|6)$/,
  'an exit that nobody expects': /^exit 3$/,
};

describe.skipIf(!able)('a crash leaves no mount behind', () => {
  test.concurrent.each(Object.keys(CRASHES) as (keyof typeof CRASHES)[])('%s', (crash) =>
    withPlace(async ({ dir }) => {
      const file = join(dir, 'crash.cjs');
      await writeFile(file, `process.on('SIGWINCH', () => { ${CRASHES[crash]} });\n`);
      const env = { NODE_OPTIONS: `--require=${file} --max-old-space-size=64` };
      await withMount(
        'in the foreground',
        async ({ pid, ended }) => {
          process.kill(pid, 'SIGWINCH');
          expect(await ended()).toMatch(ENDS[crash]);
        },
        env,
      );
    }),
  );
});

describe.skipIf(!able)('the watcher of a mount that is ended by a signal', () => {
  test.each(ASKS.map((number) => nameOf(number)))('does not mind %s itself', (name) =>
    withMount('in the background', async ({ pid, ended }) => {
      const watcher = await watcherOf(pid);
      process.kill(watcher, name);
      process.kill(pid, 'SIGKILL');
      expect(await ended()).toBe(`signal ${signals.SIGKILL}`);
    }),
  );
});
