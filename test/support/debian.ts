// Debian's 9P servers for the interop tests: diod and nfs-ganesha, each on a loopback port of its own, serving a
// directory of this machine. What holds for every server process is in serverprocess.ts. diod is started again when it
// dies (it aborts on some input). Must not import src/: a server must not look right by our own mistakes.

import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startOnPort, type TestServer } from './serverprocess.ts';

/** Which of these programs is not installed; null when all are. */
export function missingPrograms(...programs: string[]): string | null {
  for (const program of programs) {
    try {
      execFileSync('/bin/sh', ['-c', 'command -v -- "$1"', 'sh', program], {
        stdio: 'ignore',
        env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
      });
    } catch {
      return program;
    }
  }
  return null;
}

/** diod: msize is capped at 65536, Tunlinkat and Trenameat are answered with EOPNOTSUPP. */
export function startDiod(dir: string): Promise<TestServer> {
  return startOnPort({
    name: 'diod',
    dir,
    restart: true,
    stopSignal: 'SIGTERM',
    argv: async (port) => ['diod', '-f', '-n', '-l', `127.0.0.1:${port}`, '-e', dir, '-c', '/dev/null', '-L', 'stderr'],
  });
}

/**
 * nfs-ganesha with its VFS back end. It always listens on all addresses (its 9P socket ignores Bind_addr), so the
 * directory should hold nothing but the test's own files. It caches attributes and directory contents for a minute:
 * changes made in the directory behind its back are seen late unless attrExpiration is 0. With `restart` it is started
 * again when it dies, as diod is.
 */
export async function startGanesha(
  dir: string,
  options: { attrExpiration?: number; restart?: boolean } = {},
): Promise<TestServer> {
  if (/["\n]/.test(dir)) throw new Error(`nfs-ganesha's configuration cannot name ${dir}`);
  // What it keeps for itself: its configuration, the pid file, and the recovery directories of the NFS clients that
  // it will never have, which two instances must not share.
  const state = join(tmpdir(), `ninefs-test-${process.pid}-ganesha-${randomUUID()}`);
  const config = join(state, 'ganesha.conf');
  const expiration = options.attrExpiration === undefined ? '' : `Attr_Expiration_Time = ${options.attrExpiration}; `;
  return startOnPort({
    name: 'ganesha',
    dir,
    restart: options.restart ?? false,
    // Its own way down takes four seconds, which it spends on the NFS that it does not serve.
    stopSignal: 'SIGKILL',
    argv: async (port) => {
      const text = [
        'NFS_CORE_PARAM { Protocols = 9P; }',
        `NFSv4 { Graceless = true; RecoveryRoot = "${state}"; }`,
        `_9P { _9P_TCP_Port = ${port}; }`,
        `EXPORT { Export_Id = 1; Path = "${dir}"; Pseudo = /e; Tag = e; Access_Type = RW; Squash = None; ` +
          `Protocols = 9P; ${expiration}FSAL { Name = VFS; } }`,
      ];
      await mkdir(state, { recursive: true });
      await writeFile(config, `${text.join('\n')}\n`);
      return ['ganesha.nfsd', '-F', '-f', config, '-L', 'STDERR', '-p', join(state, 'pid')];
    },
    cleanUp: () => rm(state, { recursive: true, force: true }),
  });
}
