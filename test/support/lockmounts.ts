// Two mounts of one server, and processes on them that lock one file: what the tests of record locks and of flock(2) have in
// common. Ends the processes before the mounts, so that no lock and no open file is left for the leak check to find.

import { join } from 'node:path';
import type { GivenSettings } from '../../src/bridge/settings.ts';
import { type Exported, type ExportedTree, exported } from './exported.ts';
import { Locker } from './locker.ts';
import { until } from './until.ts';

export interface LockMounts extends Exported {
  /** A process on the first mount or on the second. */
  locker(mount: 0 | 1): Locker;
  /** Begins to wait for a lock, and does when this returns. */
  beginWaiting(other: Locker, line: string, mount: 0 | 1): Promise<void>;
  /** Begins to wait, and gets a signal when it does. */
  interruptWaiting(other: Locker, line: string, mount: 0 | 1): Promise<void>;
}

export async function lockMounts(tree: ExportedTree, settings: Partial<GivenSettings> = {}): Promise<LockMounts> {
  const at = await exported('locks', tree);
  const lockers: Locker[] = [];
  try {
    for (let i = 0; i < 2; i++) await at.mount(settings);
  } catch (error) {
    await at.end();
    throw error;
  }
  async function beginWaiting(other: Locker, line: string, mount: 0 | 1): Promise<void> {
    // its open of the file is over when it has answered something
    await other.do('get 0 0');
    other.begin(line);
    await until('the lock to be asked for', () => at.mounts[mount]?.mount.stats().fuse.inFlight === 1);
  }
  return {
    ...at,
    locker(mount) {
      const made = new Locker(join(at.mounts[mount]?.mountpoint ?? '', 'file'));
      lockers.push(made);
      return made;
    },
    beginWaiting,
    async interruptWaiting(other, line, mount) {
      await beginWaiting(other, line, mount);
      process.kill(other.pid, 'SIGALRM');
    },
    async end() {
      for (const locker of lockers) await locker.end('SIGKILL');
      await at.end();
    },
  };
}
