// mount(8)'s way in: it runs /sbin/mount.fuse.ninefs (or mount.ninefs) with SOURCE DIR [-sfnv] [-N namespace] [-o options]
// [-t type], see its EXTERNAL HELPERS. Where there is none it runs mount.fuse3, which runs `ninefs SOURCE DIR -o options`.
// How the two are told from a command line of ours is entry.ts.
// Guarantees: exit codes are those of mount(8), which hands them on; `suid` and `dev` count where fstab says them, and not because
// somebody on the way adds them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../common/errors.ts';
import { HELPER, type HelperFlags, mountCode, withoutAdded } from './entry.ts';
import { fstabWords } from './fstab.ts';
import { checkMount, mountCommand } from './mount.ts';
import { sloppyList } from './optionlist.ts';
import { EXIT } from './report.ts';

const NINEFS = fileURLToPath(new URL('../../bin/ninefs.js', import.meta.url));

/** As `ninefs mount` in the background; `words` come before the options that were given. */
function mountAs(source: string, mountpoint: string, words: readonly string[], given: readonly string[]) {
  const option = [words.join(','), ...given].filter((list) => list !== '');
  const lists = option.flatMap((list) => ['-o', list]);
  return mountCommand(source, mountpoint, { option }, [
    process.execPath,
    NINEFS,
    'mount',
    ...lists,
    '--',
    source,
    mountpoint,
  ]);
}

/** In the namespace of mounts that mount(8) was told of: a process of several threads cannot enter one. */
async function inNamespace(namespace: string, words: readonly string[]): Promise<number> {
  const file = /^\d+$/.test(namespace) ? `/proc/${namespace}/ns/mnt` : namespace;
  const child = spawn('nsenter', [`--mount=${file}`, '--', process.execPath, NINEFS, HELPER, ...words], {
    stdio: 'inherit',
  });
  const [code] = (await once(child, 'exit').catch((error: Error) => {
    throw new ConfigError(`-N ${namespace}: nsenter cannot be run: ${error.message}`, 1);
  })) as [number | null];
  return code ?? mountCode(EXIT.failure);
}

/** Settles with an exit code of mount(8). */
export async function helperCommand(source: string, mountpoint: string, flags: HelperFlags): Promise<number> {
  const { namespace, type, sloppy, fake, verbose, option = [] } = flags;
  if (type !== undefined && !/^(fuse\.)?ninefs$/.test(type)) {
    throw new ConfigError(`-t ${type}: it takes fuse.ninefs or ninefs`);
  }
  if (namespace !== undefined) {
    const switches = [sloppy && '-s', fake && '-f', verbose && '-v'].filter((word) => typeof word === 'string');
    return inNamespace(namespace, [...switches, ...option.flatMap((list) => ['-o', list]), '--', source, mountpoint]);
  }
  const words = await fstabWords(source, mountpoint);
  const given = sloppy ? option.map(sloppyList) : option;
  if (fake) {
    await checkMount(source, mountpoint, { option: [words.join(','), ...given] });
    return mountCode(EXIT.ok);
  }
  const code = await mountAs(source, mountpoint, words, given);
  if (verbose && code === EXIT.ok) process.stdout.write(`${source} on ${mountpoint} type fuse.ninefs\n`);
  return mountCode(code);
}

/** mount.fuse3's way. Settles with our own exit codes, which it replaces. */
export async function mountFuseCommand(source: string, mountpoint: string, lists: readonly string[]): Promise<number> {
  return mountAs(source, mountpoint, await fstabWords(source, mountpoint), lists.map(withoutAdded));
}
