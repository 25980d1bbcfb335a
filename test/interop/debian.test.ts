// That the servers of the interop tests can be had: they start, answer as the servers that they are, run beside each
// other, come back after an abort (diod) and are gone after stop().

import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { probeVersion, type TestServer } from '../support/serverprocess.ts';
import { withTempDir } from '../support/tempdir.ts';

/** The process that listens on a port, by ss(8). */
function listener(port: number): number | null {
  const text = execFileSync('ss', ['-Hltnp', `sport = :${port}`], { encoding: 'utf8' });
  const pid = /pid=(\d+)/.exec(text)?.[1];
  return pid === undefined ? null : Number(pid);
}

async function withServer(server: TestServer, body: (server: TestServer) => Promise<void>): Promise<void> {
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

const kinds = [
  { name: 'diod', program: 'diod', start: startDiod, msize: 65536 },
  { name: 'ganesha', program: 'ganesha.nfsd', start: startGanesha, msize: 65536 },
];

for (const { name, program, start, msize } of kinds) {
  const missing = missingPrograms(program, 'setpriv', 'ss') ?? (process.getuid?.() === 0 ? null : 'root');

  describe.skipIf(missing !== null)(`${name}${missing === null ? '' : ` (needs ${missing})`}`, () => {
    it('starts, speaks 9P2000.L, and is gone after stop', () =>
      withTempDir(async (dir) => {
        const server = await start(dir);
        await withServer(server, async () => {
          expect(server).toMatchObject({ name, dir, aname: dir, restarts: 0, address: `tcp!127.0.0.1!${server.port}` });
          expect(await probeVersion(server.port)).toEqual({ msize, version: '9P2000.L' });
        });
        await expect(probeVersion(server.port)).rejects.toThrow('ECONNREFUSED');
        await server.stop();
      }));

    it('runs several times at once', () =>
      withTempDir(async (one) =>
        withTempDir(async (two) =>
          withServer(await start(one), async (first) =>
            withServer(await start(two), async (second) => {
              expect(first.port).not.toBe(second.port);
              expect((await probeVersion(first.port)).version).toBe('9P2000.L');
              expect((await probeVersion(second.port)).version).toBe('9P2000.L');
            }),
          ),
        ),
      ));
  });
}

it('refuses a directory that is not there or cannot be named', async () => {
  await expect(startDiod('/nonexistent')).rejects.toThrow('ENOENT');
  await expect(startGanesha('/nonexistent')).rejects.toThrow('ENOENT');
  await expect(startGanesha('/with"quotes')).rejects.toThrow('cannot name');
});

describe.skipIf(missingPrograms('diod', 'setpriv', 'ss') !== null)('diod, supervised', () => {
  it('is started again at the same address when it is killed', () =>
    withTempDir(async (dir) =>
      withServer(await startDiod(dir), async (server) => {
        const pid = listener(server.port);
        expect(pid).not.toBeNull();
        process.kill(pid ?? 0, 'SIGABRT');
        await expect.poll(() => server.restarts, { timeout: 60_000 }).toBe(1);
        await expect
          .poll(() => probeVersion(server.port).catch(() => null), { timeout: 60_000 })
          .toMatchObject({ version: '9P2000.L' });
        expect(listener(server.port)).not.toBe(pid);
        expect(server.stderr()).toContain('SIGABRT');
      }),
    ));
});
