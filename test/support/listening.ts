// Whether a process listens on a port: somebody else on the machine may have taken it first, and would answer there.

import { readdir, readFile, readlink } from 'node:fs/promises';

/** TCP_LISTEN in the fourth column of /proc/net/tcp. */
const LISTEN = '0A';

/** For what the kernel does not have: a process that has ended, a descriptor that was closed, no IPv6. */
function orElse<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
    return instead;
  };
}

/** The inodes of the sockets that listen on a port, whatever the address. */
async function listeners(port: number): Promise<string[]> {
  const files = ['/proc/net/tcp', '/proc/net/tcp6'];
  const tables = await Promise.all(files.map((file) => readFile(file, 'latin1').catch(orElse(''))));
  const rows = tables.flatMap((table) => table.split('\n').map((line) => line.trim().split(/\s+/)));
  return rows.flatMap(([, local = '', , state, , , , , , inode = '']) =>
    state === LISTEN && Number.parseInt(local.split(':')[1] ?? '', 16) === port ? [inode] : [],
  );
}

export async function listensOn(pid: number, port: number): Promise<boolean> {
  const sockets = new Set((await listeners(port)).map((inode) => `socket:[${inode}]`));
  const fds = await readdir(`/proc/${pid}/fd`).catch(orElse<string[]>([]));
  const targets = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(orElse(''))));
  return targets.some((link) => sockets.has(link));
}
