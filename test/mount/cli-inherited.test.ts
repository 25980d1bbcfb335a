// What the process of a mount takes over from whoever starts it, and what it does not: descriptors, variables for debugging
// Node, ignored signals, a terminal. Looked at in /proc, as it was found out.

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, ninefs, ninefsPath, startServer } from '../support/cli.ts';
import { mountLogged, type Place, pidInLog, processEnds, statOf, watcherOf, withPlace } from '../support/daemons.ts';
import { quote } from '../support/namespace.ts';
import { python } from '../support/posix.ts';
import { Reaper } from '../support/reaper.ts';
import { output, shell } from '../support/shell.ts';

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

/** What the descriptors of a process lead to. */
async function descriptors(pid: number): Promise<string[]> {
  const numbers = await readdir(`/proc/${pid}/fd`);
  return Promise.all(numbers.map((number) => readlink(`/proc/${pid}/fd/${number}`)));
}

/** The command line of a mount, for a shell. */
const mountLine = ({ mountpoint, log }: Place, flags = '') =>
  [process.execPath, ninefsPath, 'mount', server.address, mountpoint, '-o', `log=${log}`].map(quote).join(' ') + flags;

async function unmounted({ mountpoint }: Place, pid: number): Promise<void> {
  expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0, stderr: '' });
  await processEnds(pid);
}

const able = existsSync('/dev/fuse');

describe.skipIf(!able)('descriptors', () => {
  test('a lock that the caller holds is free when the caller ends', () =>
    withPlace(async (place) => {
      const lock = join(place.dir, 'lock');
      const script = `exec 7>${lock}.low 200>${lock}; flock 7; flock 200; ${mountLine(place)}`;
      await output(`exec bash -c ${quote(script)}`);
      await output(`flock -n ${lock} true && flock -n ${lock}.low true`);
      await unmounted(place, await pidInLog(place.log));
    }));

  test('whoever reads what the caller writes is told when the caller ends', () =>
    withPlace(async (place) => {
      const script = `x=$(exec 60>&1 7>&1; ${mountLine(place)}; echo said >&60); echo "$x"`;
      expect(await output(`exec bash -c ${quote(script)}`, { timeout: 20_000 })).toBe('said\n');
      await unmounted(place, await pidInLog(place.log));
    }));

  test.each([
    ['in the background', ''],
    ['in the foreground', ' -f'],
  ])('%s: of the mount and its watcher none leads to what the caller has open', (_, flags) =>
    withPlace(async (place) => {
      const held = join(place.dir, 'held');
      await mkdir(held);
      const opened = [3, 7, 15, 16, 60, 200, 1000].map((number) => `${number}>${held}/${number}`).join(' ');
      await using reaper = new Reaper(['bash', '-c', `exec ${opened}; exec ${mountLine(place, flags)}`]);
      await reaper.line(flags === '' ? /^\d+ exit 0$/m : /^mounted /m);
      const pid = await pidInLog(place.log);
      const watcher = await watcherOf(pid);
      expect((await descriptors(pid)).filter((link) => link.startsWith(held))).toEqual([]);
      expect(await readdir(held)).toHaveLength(7);
      const own = [/^socket:/, /^\/dev\/null$/, /^\/dev\/null$/, /^\/proc\/\d+\/mountinfo$/, /\/bin\/watcher\.sh$/];
      const links = await descriptors(watcher);
      expect(links).toHaveLength(own.length);
      for (const pattern of own) expect(links).toContainEqual(expect.stringMatching(pattern));
      await ninefs(['umount', place.mountpoint]);
      expect(await reaper.endOf(pid)).toBe('exit 0');
    }),
  );
});

describe.skipIf(!able)('the environment', () => {
  test('of a mount in the background has nothing for debugging Node', () =>
    withPlace(async (place) => {
      const record = join(place.dir, 'record');
      const script = join(place.dir, 'record.cjs');
      await writeFile(script, `require('node:fs').appendFileSync(${JSON.stringify(record)}, process.pid + '\\n');\n`);
      const env = {
        ...process.env,
        NODE_OPTIONS: `--require=${script}`,
        NODE_DEBUG: 'child_process',
        NODE_PATH: place.dir,
        NODE_V8_COVERAGE: join(place.dir, 'coverage'),
        NODE_EXTRA_CA_CERTS: script,
        KEPT: 'yes',
      };
      const cli = await ninefs(['mount', server.address, place.mountpoint, '-o', `log=${place.log}`], { env });
      expect(cli.code).toBe(0);
      const pid = await pidInLog(place.log);
      const loaded = (await readFile(record, 'utf8')).trim().split('\n').map(Number);
      expect(loaded).toHaveLength(1); // by the command that was called, which nobody can help
      expect(loaded).not.toContain(pid);
      const names = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').map((line) => line.split('=')[0]);
      expect(names.filter((name) => name?.startsWith('NODE_'))).toEqual(['NODE_EXTRA_CA_CERTS']);
      expect(names).toContain('KEPT');
      await unmounted(place, pid);
    }));

  test('flags of Node that open its inspector are not for the background', () =>
    withPlace(async (place) => {
      const line = [process.execPath, '--inspect=127.0.0.1:0', '--max-old-space-size=512', ninefsPath];
      const words = [...line, 'mount', server.address, place.mountpoint, '-o', `log=${place.log}`];
      await output(words.map(quote).join(' '));
      const pid = await pidInLog(place.log);
      const flags = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').filter((word) => /^--/.test(word));
      expect(flags.filter((flag) => flag !== '--disable-sigusr1')).toEqual(['--max-old-space-size=512']);
      await unmounted(place, pid);
    }));
});

describe.skipIf(!able)('the umask', () => {
  test.each([
    ['000', 0o640],
    ['022', 0o640],
    ['077', 0o600],
  ])("is the caller's, %s: the log has what it leaves of 0640", (mask, mode) =>
    withPlace(async (place) => {
      await output(`umask ${mask}; ${mountLine(place)}`);
      const pid = await pidInLog(place.log);
      expect((await stat(place.log)).mode & 0o777).toBe(mode);
      expect(await output(`grep ^Umask /proc/${pid}/status`)).toBe(`Umask:\t0${mask}\n`);
      await unmounted(place, pid);
    }),
  );
});

/** Runs a command with every signal that can be ignored or blocked ignored and blocked. */
const DEAF = `
import os, signal, sys
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
os.execv(sys.argv[1], sys.argv[1:])
`;

describe.skipIf(!able)('signals that the caller ignores and blocks', () => {
  test.each([
    ['in the background', []],
    ['in the foreground', ['-f']],
  ])('%s: they end the mount all the same', (_, flags) =>
    withPlace(async ({ mountpoint, log }) => {
      const mount = [ninefsPath, 'mount', server.address, mountpoint, '-o', `log=${log}`, ...flags];
      await using reaper = new Reaper([python, '-c', DEAF, process.execPath, ...mount]);
      await reaper.line(flags.length === 0 ? /^\d+ exit 0$/m : /^mounted /m);
      const pid = await pidInLog(log);
      process.kill(pid, 'SIGTERM');
      expect(await reaper.endOf(pid)).toBe('exit 0');
    }),
  );
});

describe.skipIf(!able)('a session', () => {
  test('of its own have the mount and its watcher, in /', () =>
    withPlace(async (place) => {
      const pid = await mountLogged(server.address, place, [], { cwd: place.dir });
      const watcher = await watcherOf(pid);
      for (const each of [pid, watcher]) {
        const [, , group, session, tty] = await statOf(each);
        expect([group, session, tty]).toEqual([`${each}`, `${each}`, '0']);
        expect(await readlink(`/proc/${each}/cwd`)).toBe('/');
      }
      await unmounted(place, pid);
      await processEnds(watcher);
    }));
});

describe.skipIf(!able)('whoever reads what a mount in the foreground says', () => {
  test('may go away', () =>
    withPlace(async (place) => {
      const script = `${mountLine(place, ' -f')} >/dev/full 2>&1`;
      await using reaper = new Reaper(['sh', '-c', `exec ${script}`]);
      const pid = await pidInLog(place.log);
      await output(`until mountpoint -q ${place.mountpoint}; do sleep 0.1; done`, { timeout: 20_000 });
      expect((await shell('ls', { cwd: place.mountpoint })).code).toBe(0);
      process.kill(pid, 'SIGTERM');
      expect(await reaper.endOf(pid)).toBe('exit 0');
    }));
});
