// Has the kernel forget the names and files of one mount that nobody uses, so that a test sees what is really held.
// A remount drops them (reconfigure_super in fs/super.c), those of that mount alone: /proc/sys/vm/drop_caches would
// take from every other test and program here what they count on. Only root may. Must not: wait for the forgets.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const DEADLINE = 60_000;

export async function forgetNames(mountpoint: string): Promise<void> {
  // By mount(2): the newer calls hand the kernel the options that it shows, and FUSE takes none of them at a remount.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, LIBMOUNT_FORCE_MOUNT2: 'always' };
  const options = { env, timeout: DEADLINE, killSignal: 'SIGKILL' } as const;
  await promisify(execFile)('mount', ['-i', '-o', 'remount', mountpoint], options);
}
