// `ninefs serve` as a process: its first line, its socket file, its end.

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { BEHAVIOURS } from '../../../src/server/server.ts';
import { connectSocket } from '../../../src/transport/socket.ts';
import { OPEN } from '../../../src/wire/p9/constants.ts';
import { ninefs, start, startServer } from '../../support/cli.ts';
import { create, stat, wstat } from '../../support/plan9.ts';
import { Raw9p } from '../../support/raw9p.ts';
import { withTempDir } from '../../support/tempdir.ts';

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
  const server = start(['serve', 'memory:', '--listen', 'tcp!0.0.0.0!0']);
  try {
    await server.output(/^ninefs: warning: whoever reaches tcp!0\.0\.0\.0!\d+ can use the tree/m, 'stderr');
    expect((await server.stop()).code).toBe(0);
  } finally {
    await server.kill();
  }
});

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
