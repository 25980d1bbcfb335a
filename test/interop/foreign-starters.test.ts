// How other people's servers are found and started: the binaries that the environment names, and the starter of each,
// tried with stand-ins that take the same arguments (fakeforeign.ts), and with Debian's diod itself.

import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/transport/address.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { start } from '../support/cli.ts';
import { missingPrograms } from '../support/debian.ts';
import { type FakeName, fakeForeign } from '../support/fakeforeign.ts';
import { binaryOf, diodFlags, type ForeignServer, foreignServers } from '../support/foreign.ts';
import { inetd } from '../support/inetd.ts';
import { create } from '../support/plan9.ts';
import { Raw9p } from '../support/raw9p.ts';
import { ProgramSession } from '../support/session.ts';
import { withTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const missing = missingPrograms('setpriv') ?? (process.getuid?.() === 0 ? null : 'root');

describe('the binary that a variable names', () => {
  const named = (path: string) => binaryOf('NINEFS_U9FS', { NINEFS_U9FS: path });

  it('is none where the variable is not set, or empty', () => {
    const absent = { kind: 'absent', why: 'NINEFS_U9FS names no binary' };
    expect(binaryOf('NINEFS_U9FS', {})).toEqual(absent);
    expect(named('')).toEqual(absent);
  });

  it('is a program, by its absolute path', () =>
    withTempDir(async (dir) => {
      const file = join(dir, 'file');
      await writeFile(file, '');
      await chmod(file, 0o644);
      const why = (path: string) => ({ kind: 'wrong', why: `NINEFS_U9FS=${path}: ${reasons[path]}` });
      const reasons: Record<string, string> = {
        u9fs: 'name the binary by its absolute path',
        [`${dir}/none`]: 'there is no such file',
        [dir]: 'it is no file',
        [file]: 'it is not executable',
      };
      for (const path of Object.keys(reasons)) expect(named(path)).toEqual(why(path));
      await chmod(file, 0o755);
      expect(named(file)).toEqual({ kind: 'found', path: file });
    }));
});

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

async function dial(server: ForeignServer): Promise<Raw9p> {
  return new Raw9p(await connectSocket(parseAddress(server.address)));
}

/** Makes a file through a server and reads it back on another connection, which sees the same tree. */
async function conversation(server: ForeignServer, version: string): Promise<void> {
  const [one, two] = [await dial(server), await dial(server)];
  for (const raw of [one, two]) {
    expect((await raw.version(8192, version)).version).toBe(version);
    await raw.attach(0, 0, server.aname, 'root');
  }
  const isDotl = version === '9P2000.L';
  const fid = isDotl ? await one.create(0, 'made') : await create(one, 'made');
  await one.write(fid, 'by the server');
  const there = await two.walk('made');
  if (isDotl) await two.call('Tlopen', { fid: there, flags: 0 });
  else await two.call('Topen', { fid: there, mode: 0 });
  expect((await two.read(there, 0, 1000)).toString()).toBe('by the server');
  for (const raw of [one, two]) raw.transport.close();
}

function refusesConnections(server: ForeignServer): Promise<string> {
  const to = parseAddress(server.address);
  const socket = connect(to.kind === 'unix' ? { path: to.path } : { host: to.host, port: to.port });
  return new Promise((settle) => {
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    socket.once('connect', () => {
      socket.destroy();
      settle('connected');
    });
  });
}

const starterOf = (name: string) => {
  const found = foreignServers.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
};

interface Expected {
  name: string;
  fake: FakeName;
  /** Of the arguments those that say what is served; a port is PORT, the directory DIR. */
  args: string;
  /** A stand-in has one tree, by no name. */
  aname: 'DIR' | '';
}

const expected: readonly Expected[] = [
  { name: 'diod', fake: 'diod', args: '-S -U root -n -l 127.0.0.1:PORT -e DIR -c /dev/null -L stderr', aname: 'DIR' },
  { name: 'go9p', fake: 'ufs', args: '-addr 127.0.0.1:PORT -root DIR', aname: '' },
  { name: 'ramfs', fake: 'ramfs', args: '', aname: '' },
  { name: 'p9ufs', fake: 'p9ufs', args: '-root DIR 127.0.0.1:PORT', aname: '' },
];

describe.skipIf(missing !== null)(`the starters${missing === null ? '' : ` (need ${missing})`}`, () => {
  it.each(expected)(
    '$name: started with its arguments, it serves, and it has ended after stop',
    ({ name, fake, args, aname }) =>
      withTempDir(async (top) => {
        const dir = join(top, 'export');
        await mkdir(dir);
        const program = await fakeForeign(top, fake);
        const foreign = starterOf(name);
        const server = await foreign.start(program.path, dir);
        let pid = 0;
        try {
          pid = await program.pid();
          const said = (await program.args())
            .join(' ')
            .replace(/127\.0\.0\.1:\d+/, '127.0.0.1:PORT')
            .replace(dir, 'DIR');
          expect(said).toBe(args);
          expect(server.aname.replace(dir, 'DIR')).toBe(aname);
          for (const version of foreign.versions) {
            await conversation({ ...server, aname: '' }, version);
            if (!foreign.hasDirectory) continue;
            expect(await readFile(join(dir, 'made'), 'utf8')).toBe('by the server');
            await rm(join(dir, 'made'));
          }
          expect(isAlive(pid)).toBe(true);
        } finally {
          await server.stop();
        }
        expect(isAlive(pid)).toBe(false);
        expect(await refusesConnections(server)).toMatch(/^(ECONNREFUSED|ENOENT)$/);
      }),
  );

  it('u9fs: each connection has a process, which ends with it', () =>
    withTempDir(async (top) => {
      const dir = join(top, 'export');
      await mkdir(dir);
      const program = await fakeForeign(top, 'u9fs');
      const behind = start(['serve', dir, '--listen', `unix!${program.path}.socket`, '--dialects', '9P2000']);
      try {
        await behind.output(/^listening on /m);
        const server = await starterOf('u9fs').start(program.path, dir);
        try {
          const args = (await program.args()).map((arg) => (arg.endsWith('/log') ? 'LOG' : arg));
          expect(args.join(' ')).toBe(`-n -a none -u root -m 65560 -l LOG ${dir}`);
          await conversation(server, '9P2000');
          expect(await readFile(join(dir, 'made'), 'utf8')).toBe('by the server');
          const pid = await program.pid();
          await until('the process of the last connection to end', () => !isAlive(pid));
        } finally {
          await server.stop();
        }
        expect(await refusesConnections(server)).toBe('ECONNREFUSED');
      } finally {
        await behind.kill();
      }
    }));

  it('a server that cannot be started is an error with what it said', () =>
    withTempDir(async (dir) => {
      const program = join(dir, 'broken');
      await writeFile(program, '#!/bin/sh\necho "usage: broken" >&2\nexit 3\n');
      await chmod(program, 0o755);
      for (const name of ['u9fs', 'go9p', 'ramfs', 'p9ufs']) {
        await expect(starterOf(name).start(program, dir)).rejects.toThrow(/does not start:[\s\S]*usage: broken/);
      }
      await expect(starterOf('diod').start(program, dir)).rejects.toThrow(/is no diod: .*usage: broken/);
    }));

  it('the flags of diod are those of the version that the binary is of', () =>
    withTempDir(async (dir) => {
      expect(await diodFlags((await fakeForeign(dir, 'diod')).path)).toEqual(['-S', '-U', 'root']);
      await expect(diodFlags(join(dir, 'none'))).rejects.toThrow('ENOENT');
    }));

  it.skipIf(!existsSync('/usr/sbin/diod'))("Debian's diod starts by its path", () =>
    withTempDir(async (dir) => {
      expect(await diodFlags('/usr/sbin/diod')).toEqual(['-f']);
      const server = await starterOf('diod').start('/usr/sbin/diod', dir);
      try {
        await conversation(server, '9P2000.L');
        expect(await readFile(join(dir, 'made'), 'utf8')).toBe('by the server');
      } finally {
        await server.stop();
      }
      expect(await refusesConnections(server)).toBe('ECONNREFUSED');
    }),
  );
});

describe.skipIf(missing !== null)('what the starters are made of', () => {
  it('inetd: a process ends with its connection, and all of them with stop', async () => {
    const server = await inetd(['cat']);
    const sockets = [1, 2].map(() => connect({ host: '127.0.0.1', port: server.port }));
    try {
      for (const [i, socket] of sockets.entries()) {
        socket.write(`to ${i}`);
        const said = await new Promise<string>((settle) => socket.once('data', (data) => settle(data.toString())));
        expect(said).toBe(`to ${i}`);
      }
      expect(server.running).toBe(2);
      sockets[0]?.destroy();
      await until('the process of the first connection to end', () => server.running === 1);
    } finally {
      await server.stop();
    }
    expect(server.running).toBe(0);
  });

  it('a session: all that a program has started ends with it, also what has left its process group', () =>
    withTempDir(async (dir) => {
      const pids = join(dir, 'pids');
      const script = `set -m; sleep 600 & echo $! >>${pids}; sleep 600 & echo $! >>${pids}; exit 0`;
      const session = new ProgramSession(['/bin/sh', '-c', script], process.env);
      const read = async () => (existsSync(pids) ? (await readFile(pids, 'utf8')).split('\n').filter(Boolean) : []);
      await until('two processes to be there', async () => (await read()).length === 2);
      const numbers = (await read()).map(Number);
      expect(numbers.map(isAlive)).toEqual([true, true]);
      expect(session.ended).toBe(false);
      await session.stop();
      expect(numbers.map(isAlive)).toEqual([false, false]);
    }));
});
