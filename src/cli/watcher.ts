// The watcher of a mount: a shell that outlives the process that serves it, and detaches the mount when that process is
// killed in a way that no handler sees (SIGKILL, out of memory, a fault). What it does is bin/watcher.sh.
// Guarantees: it is there before the mount is; it has a session of its own, so that no terminal ends it, and of this
// process's descriptors one end of a pipe. A mount without one works all the same, and the log says so.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../common/log.ts';
import { findFusermount } from '../fuse/fusermount.ts';
import { canonicalPath, findMount, type MountInfo, openMounts, quoted } from '../fuse/mountinfo.ts';

const SCRIPT = fileURLToPath(new URL('../../bin/watcher.sh', import.meta.url));
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

export interface Watcher {
  /** To be called when the mount is live. */
  mounted(): Promise<void>;
  /** To be called when there is no mount any more: the watcher goes. */
  done(): void;
}

/** For systems and mounts without one. */
export const noWatcher: Watcher = { mounted: async () => undefined, done: () => undefined };

const named = (info: MountInfo | undefined) => (info === undefined ? '- -' : `${info.id} ${info.major}:${info.minor}`);

/** Starts the watcher of a mount that is about to be made by this process. */
export async function startWatcher(mountpoint: string, logger: Logger): Promise<Watcher> {
  let child: ChildProcessByStdio<Writable, null, null>;
  const path = await canonicalPath(mountpoint);
  // held open: the mount may cover /proc
  const table = await openMounts();
  const before = named(await findMount(path, table.read));
  try {
    child = spawn('/bin/sh', [SCRIPT, findFusermount() ?? 'fusermount3'], {
      detached: true,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH },
    });
    await once(child, 'spawn');
  } catch (error) {
    await table.close();
    logger.warn({ err: error }, 'no watcher: this mount will be stale if its process is killed');
    return noWatcher;
  }
  child.stdin.on('error', (error) => logger.warn({ err: error }, 'the watcher of this mount has gone'));
  child.unref();
  // spawn makes a socket of the pipe; it must not keep this process alive
  (child.stdin as Socket).unref();
  child.stdin.write(`at ${quoted(path)} ${before}\n`);
  return {
    async mounted() {
      try {
        const info = await findMount(path, table.read);
        if (info !== undefined) child.stdin.write(`is ${named(info)}\n`);
      } catch (error) {
        logger.warn({ err: error }, 'the watcher goes by the mountpoint alone');
      } finally {
        await table.close();
      }
    },
    done() {
      child.stdin.end('done\n');
    },
  };
}
