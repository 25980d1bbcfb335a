// Who keeps a mount busy: other mounts below it, and processes with a working directory, a root or an open file in it.
// Reads /proc only, never the mount; a bounded look, for an error message. Where there is no /proc nobody is named.

import { readdir, readFile, readlink } from 'node:fs/promises';
import { mounts } from './mountinfo.ts';

const LOOK_MS = 500;
const NAMED = 3;

function inside(path: string, mountpoint: string): boolean {
  return path === mountpoint || path.startsWith(`${mountpoint}/`);
}

async function usesOf(pid: string, mountpoint: string): Promise<string | undefined> {
  const at = async (link: string): Promise<boolean> =>
    inside(await readlink(`/proc/${pid}/${link}`).catch(() => ''), mountpoint);
  if (await at('cwd')) return 'its working directory';
  if (await at('root')) return 'its root';
  // Another user's descriptors cannot be listed; then the process goes unnamed.
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) if (await at(`fd/${fd}`)) return 'an open file';
  return undefined;
}

/** A few of them in words, `bash (pid 12, its working directory)`; empty when none can be seen. */
export async function usersOf(mountpoint: string): Promise<string[]> {
  if (process.platform !== 'linux') return []; // no /proc
  const found = (await mounts().catch(() => []))
    .filter((info) => info.mountpoint.startsWith(`${mountpoint}/`))
    .map((info) => `the mount on ${info.mountpoint}`);
  const until = performance.now() + LOOK_MS;
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (found.length >= NAMED || performance.now() > until) break;
    if (!/^\d+$/.test(pid)) continue;
    const use = await usesOf(pid, mountpoint);
    if (use === undefined) continue;
    const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a process')).trim();
    found.push(`${name} (pid ${pid}, ${use})`);
  }
  return found.slice(0, NAMED);
}
