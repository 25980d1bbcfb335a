// `ninefs serve` as a process: its first line, its socket file, its end.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { BEHAVIOURS } from '../../../src/server/server.ts';
import { parseAddress } from '../../../src/transport/address.ts';
import { connectSocket } from '../../../src/transport/socket.ts';
import { DM, OPEN } from '../../../src/wire/p9/constants.ts';
import { type Cli, type CliOptions, ninefs, start, startServer } from '../../support/cli.ts';
import { NOBODY, OtherUser } from '../../support/otheruser.ts';
import { create, stat, wstat } from '../../support/plan9.ts';
import { Raw9p } from '../../support/raw9p.ts';
import { makeTempDir, removeTempDir, withTempDir } from '../../support/tempdir.ts';

/** The bytes of Tversion(65536, version). */
function tversion(version: string): Buffer {
  const { length } = version;
  return Buffer.from([13 + length, 0, 0, 0, 100, 0xff, 0xff, 0, 0, 1, 0, length, 0, ...Buffer.from(version)]);
}

/** The version that a server agrees to. */
async function agreed(port: number, version: string): Promise<string> {
  return (await exchange({ port }, version)).subarray(13).toString();
}

/** The type of the first answer of whoever listens there. */
async function ask(target: { port: number } | { path: string }): Promise<number> {
  return (await exchange(target, '9P2000.L'))[4] ?? 0;
}

function exchange(target: { port: number } | { path: string }, version: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(target as { path: string });
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data);
    });
    socket.write(tversion(version));
  });
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'prints its real port, serves, and ends well on %s',
  async (signal) => {
    const server = await startServer('memory:');
    try {
      expect(server.stdout).toMatch(/^listening on tcp!127\.0\.0\.1!\d+\n$/);
      const port = Number(server.address.split('!')[2]);
      expect(port).toBeGreaterThan(0);
      expect(await ask({ port })).toBe(101);
      expect(await server.stop(signal)).toMatchObject({ code: 0, signal: null });
    } finally {
      await server.kill();
    }
  },
);

describe('a unix socket', () => {
  test('is made, answers, and is removed at the end', () =>
    withTempDir(async (dir) => {
      const path = join(dir, 'sock');
      const server = await startServer(dir, ['--listen', `unix!${path}`]);
      try {
        expect(server.address).toBe(`unix!${path}`);
        expect(await ask({ path })).toBe(101);
        expect((await server.stop()).code).toBe(0);
        expect(existsSync(path)).toBe(false);
      } finally {
        await server.kill();
      }
    }));

  test('left behind by a server that was killed is replaced', () =>
    withTempDir(async (dir) => {
      const path = join(dir, 'sock');
      const first = await startServer('memory:', ['--listen', path]);
      await first.kill();
      expect(existsSync(path)).toBe(true);
      const second = await startServer('memory:', ['--listen', path]);
      try {
        expect(await ask({ path })).toBe(101);
      } finally {
        await second.kill();
      }
    }));

  test('of a server that lives is not taken over', () =>
    withTempDir(async (dir) => {
      const path = join(dir, 'sock');
      const first = await startServer('memory:', ['--listen', path]);
      try {
        expect(await ninefs(['serve', 'memory:', '--listen', path])).toMatchObject({
          code: 1,
          stderr: `ninefs: cannot listen on ${path}: another server listens there\n`,
        });
        expect(await ask({ path })).toBe(101);
      } finally {
        await first.kill();
      }
    }));

  test('never replaces another file', () =>
    withTempDir(async (dir) => {
      const path = join(dir, 'precious');
      await writeFile(path, 'text');
      expect(await ninefs(['serve', 'memory:', '--listen', path])).toMatchObject({ code: 1 });
      expect(existsSync(path)).toBe(true);
    }));
});

test('a port in use is one line', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const bound = holder.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  try {
    const { code, stderr } = await ninefs(['serve', 'memory:', '--listen', `127.0.0.1:${port}`]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ninefs: cannot listen on tcp!127\.0\.0\.1!\d+: .*EADDRINUSE.*\n$/);
  } finally {
    holder.close();
  }
});

test('warns when it can be reached from elsewhere', async () => {
  const server = start(['serve', 'memory:', '--listen', 'tcp!0.0.0.0!0', '--users', 'squash=7']);
  try {
    const warning = /^ninefs: warning: whoever reaches tcp!0\.0\.0\.0!\d+ can use the tree as uid 7: /m;
    await server.output(warning, 'stderr');
    expect((await server.stop()).code).toBe(0);
  } finally {
    await server.kill();
  }
});

describe.runIf(process.geteuid?.() === 0)('whom clients may be', () => {
  let dir: string;
  let server: (Cli & { address: string }) | undefined;
  let other: OtherUser | undefined;

  beforeEach(async () => {
    dir = await makeTempDir('serve');
    await chmod(dir, 0o777);
  });
  afterEach(async () => {
    await other?.end();
    await server?.kill();
    server = undefined;
    other = undefined;
    await removeTempDir(dir);
  });

  async function asNobody(args: string[] = [], options: CliOptions = {}): Promise<OtherUser> {
    server = await startServer(dir, ['--listen', 'tcp!127.0.0.1!0', ...args], options);
    other = await OtherUser.connect(parseAddress(server.address));
    return other;
  }

  const MAKING = { name: 'f', flags: 2, mode: 0o4777, gid: NOBODY };
  const modeOf = (name: string) => statSync(join(dir, name)).mode & 0o7777;

  test('is decided by the kernel unless it is said otherwise, and no setuid program is made', async () => {
    const user = await asNobody();
    expect(await user.attach(0, 'root')).toBe(errno.EPERM);
    expect(await user.attach()).toBe(0);
    await user.call('Tlcreate', { fid: 0, ...MAKING });
    expect(modeOf('f')).toBe(0o777);
    const { stderr } = await server!.stop();
    expect(stderr).toContain('attach refused: it may not be that user');
  });

  test('--users=trust believes them; --suid and --dev let them', async () => {
    const user = await asNobody(['--users=trust', '--suid', '--dev']);
    expect(await user.attach(0)).toBe(0);
    await user.call('Tmknod', { dfid: 0, name: 'null', mode: 0o020666, major: 1, minor: 3, gid: 0 });
    await user.call('Tlcreate', { fid: 0, ...MAKING, gid: 0 });
    expect(modeOf('f')).toBe(0o4777);
  });

  test('--users=FILE grants what it says, if nobody else could have written it', async () => {
    const file = join(dir, 'who');
    await writeFile(file, 'nobody may-be daemon\n');
    const user = await asNobody([`--users=${file}`]);
    expect(await user.attach(0)).toBe(errno.EPERM);
    expect(await user.attach(1)).toBe(0);
    await chmod(file, 0o666);
    expect(await ninefs(['serve', dir, `--users=${file}`])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('can be written by others than its owner, and it decides who is who: chmod go-w'),
    });
    await chmod(file, 0o644);
    await chown(file, 1, 1);
    expect(await ninefs(['serve', dir, `--users=${file}`])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('belongs to uid 1'),
    });
  });

  test('a server that can act for nobody else lets its own user in, and root, and no third', async () => {
    await mkdir(join(dir, 'private'), { mode: 0o700 });
    await chown(join(dir, 'private'), NOBODY, NOBODY);
    const user = await asNobody([], { uid: NOBODY, gid: NOBODY });
    expect(await user.attach(1001, 'somebody')).toBe(0);
    await user.call('Tmkdir', { dfid: await user.walk('private'), name: 'd', mode: 0o755, gid: 1001 });
    expect(statSync(join(dir, 'private', 'd'))).toMatchObject({ uid: NOBODY, gid: NOBODY });
    const daemon = await OtherUser.connect(parseAddress(server!.address), 1);
    try {
      expect(await daemon.attach()).toBe(errno.EPERM);
      expect(await daemon.attach(NOBODY)).toBe(errno.EPERM);
    } finally {
      await daemon.end();
    }
    const root = await OtherUser.connect(parseAddress(server!.address), 0);
    try {
      expect(await root.attach(NOBODY)).toBe(0);
    } finally {
      await root.end();
    }
  });
});

describe('bounds', () => {
  test('--size is what memory: has, and --max-connections how many get in', async () => {
    const server = await startServer('memory:', [
      ...['--listen', 'tcp!127.0.0.1!0', '--size=1m', '--max-connections=2', '--memory=64m'],
      ...['--max-fids=100', '--max-files=100'],
    ]);
    try {
      const { port } = parseAddress(server.address) as { port: number };
      const silent = connect(port, '127.0.0.1');
      const ended = new Promise((resolve) => silent.once('close', resolve));
      await new Promise((resolve) => silent.once('connect', resolve));
      const raws = [];
      for (let i = 0; i < 2; i++) raws.push(new Raw9p(await connectSocket(parseAddress(server.address))));
      await ended;
      const [raw] = raws as [Raw9p];
      await raw.version();
      await raw.attach(0, process.getuid?.());
      const { bsize, blocks } = await raw.call('Tstatfs', { fid: 0 });
      expect(bsize * blocks).toBe(1024 * 1024);
      for (const each of raws) each.transport.close();
    } finally {
      await server.kill();
    }
  });
});

test.runIf(process.platform === 'linux')('out of descriptors, what fails leaves nothing behind', () =>
  withTempDir(async (dir) => {
    const server = await startServer(dir);
    try {
      const raw = new Raw9p(await connectSocket(parseAddress(server.address)));
      await raw.version();
      await raw.attach(0, process.getuid?.());
      const plain = new Raw9p(await connectSocket(parseAddress(server.address)));
      await plain.version(8192, '9P2000.u');
      await plain.attach(0, process.getuid?.());
      const first = await raw.create(0, 'first');
      const { pid } = server.process;
      const most = readdirSync(`/proc/${pid}/fd`).length + 12;
      await promisify(execFile)('prlimit', ['--pid', `${pid}`, `--nofile=${most}:${most}`]);
      const made: string[] = [];
      const making = { fid: 0, flags: OPEN.RDWR, mode: 0o644, gid: 0 };
      let failed = 0;
      for (let i = 0; failed === 0; i++) {
        const fid = await raw.walk('');
        failed = await raw.errno('Tlcreate', { ...making, fid, name: `f${i}` });
        if (failed === 0) made.push(`f${i}`);
      }
      expect(failed).toBe(errno.EMFILE);
      expect(made.length).toBeGreaterThan(5);
      expect(await raw.errno('Tmkdir', { dfid: 0, name: 'd', mode: 0o755, gid: 0 })).toBe(0);
      expect(await raw.errno('Tsymlink', { dfid: 0, name: 'l', target: 'x', gid: 0 })).toBe(0);
      for (const perm of [(DM.DIR | 0o755) >>> 0, 0o644, (DM.SYMLINK | 0o777) >>> 0]) {
        const body = { name: 'u', perm, mode: 0, extension: 'x' };
        expect(await plain.errno('Tcreate', { fid: await plain.walk(''), ...body })).toBe(errno.EMFILE);
      }
      expect(readdirSync(dir).sort()).toEqual(['d', 'first', ...made, 'l'].sort());
      await raw.clunk(first);
      expect(await raw.errno('Tlcreate', { ...making, fid: await raw.walk(''), name: 'again' })).toBe(0);
      for (const each of [raw, plain]) each.transport.close();
    } finally {
      await server.kill();
    }
  }),
);

describe('to behave like others', () => {
  test.each([
    ['fids', 'inode', 'file, path, path-io or path-unopened'],
    ['fids', '', 'file, path, path-io or path-unopened'],
    ['append', 'start', 'end, offset or refuse'],
    ['fsync', 'File', 'file, path or eisdir'],
    ['wstat', 'ones', 'exact or all-ones'],
  ])('--%s=%s is one line', async (flag, value, takes) => {
    expect(await ninefs(['serve', 'memory:', `--${flag}=${value}`])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `ninefs: --${flag}: there is no '${value}'; it takes ${takes}\n`,
    });
  });

  test('every option reaches the server, all of them together', async () => {
    const options = ['--fids=path-io', '--append=offset', '--fsync=path', '--wstat=all-ones'];
    const server = await startServer('memory:', options);
    try {
      const port = Number(server.address.split('!')[2]);
      const raw = new Raw9p(await connectSocket({ kind: 'tcp', host: '127.0.0.1', port }));
      await raw.version();
      await raw.attach(0, 0);
      const file = await raw.create(0, 'f', { flags: OPEN.RDWR | OPEN.APPEND });
      await raw.write(file, 'text');
      await raw.write(file, 'T');
      expect((await raw.read(file)).toString()).toBe('Text');
      expect(await raw.errno('Tunlinkat', { dirfid: 0, name: 'f', flags: 0 })).toBe(errno.EOPNOTSUPP);
      await raw.call('Tremove', { fid: await raw.walk('f') });
      expect(await raw.errno('Tfsync', { fid: file, datasync: 0 })).toBe(errno.ENOENT);
      await raw.version(8192, '9P2000');
      await raw.attach(0, 0);
      await create(raw, 'g');
      const other = await raw.walk('g');
      await wstat(raw, other, { mtime: 1 });
      expect((await stat(raw, other)).mode).toBe(0x7fffffff);
      raw.transport.close();
      expect((await server.stop()).code).toBe(0);
    } finally {
      await server.kill();
    }
  });

  test('its help names every value', async () => {
    const { stdout } = await ninefs(['serve', '--help']);
    for (const [flag, values] of Object.entries(BEHAVIOURS)) {
      const [, ...others] = values;
      expect(stdout).toContain(`--${flag} `);
      for (const value of others) expect(stdout).toContain(`--${flag}=${value} `);
    }
  });
});

describe('--dialects', () => {
  test('limits what is spoken', async () => {
    const server = await startServer('memory:', ['--dialects', '9p2000.U,9P2000']);
    try {
      const port = Number(server.address.split('!')[2]);
      expect(await agreed(port, '9P2000.L')).toBe('9P2000');
      expect(await agreed(port, '9P2000.u')).toBe('9P2000.u');
    } finally {
      await server.kill();
    }
  });

  test('all of them where nothing is said', async () => {
    const server = await startServer('memory:');
    try {
      const port = Number(server.address.split('!')[2]);
      for (const version of ['9P2000.L', '9P2000.u', '9P2000']) expect(await agreed(port, version)).toBe(version);
    } finally {
      await server.kill();
    }
  });

  test('that do not exist are one line', async () => {
    expect(await ninefs(['serve', 'memory:', '--dialects', '9P2000.L,9P2000.x'])).toMatchObject({
      code: 2,
      stderr: "ninefs: --dialects: there is no '9P2000.x'; name some of 9P2000.L,9P2000.u,9P2000\n",
    });
  });
});
