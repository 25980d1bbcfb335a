// Which groups a caller is in. A request of the kernel's names one, the primary; the others are what /proc says of the thread
// that waits for the answer.

import { readFileSync } from 'node:fs';
import type { RequestContext } from '../../fuse/operations.ts';

/**
 * False also where that cannot be seen: the thread is in another pid namespace (pid 0), or /proc hides it. The read cannot
 * wait for the mount: the status file takes no lock that a caller stuck in it would hold.
 */
export function isMember({ gid, pid }: Pick<RequestContext, 'gid' | 'pid'>, group: number): boolean {
  if (gid === group) return true;
  if (pid === 0) return false;
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return false; // no such thread in our /proc
  }
  return groupsIn(status).includes(group);
}

/** From the text of /proc/<pid>/status. */
export function groupsIn(status: string): number[] {
  const list = /^Groups:[ \t]*([\d \t]*)$/m.exec(status)?.[1] ?? '';
  return list.split(/\s+/).flatMap((text) => (text === '' ? [] : [Number(text)]));
}
