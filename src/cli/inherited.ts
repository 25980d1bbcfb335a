// What a mount's process does not take over from the process that starts it: descriptors, and variables and flags that are
// for debugging Node. What it does take over: umask, limits, priority, locale, the rest of the environment.
// Guarantees: a descriptor that the caller left open, the write end of a pipe or a lock, is not held by a mount; not for one
// that stays in the foreground either.

import { errnoName } from '../common/errno.ts';
import { addon } from '../fuse/drivers/addon.ts';

const FIRST = 3;
/** Its value is the pid of the process that has marked its descriptors and begun anew: this one, if it is ours. */
const SHED_VARIABLE = 'NINEFS_SHED';

/** They load code, open ports and write files. This one alone says whom to trust. */
const isDebugging = (name: string) => name.startsWith('NODE_') && name !== 'NODE_EXTRA_CA_CERTS';

/** An environment without what is for debugging Node. spawn() adds a variable that is absent, and not one that is undefined. */
export function plainEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const plain = Object.entries(environment).map(([name, value]) => [name, isDebugging(name) ? undefined : value]);
  return Object.fromEntries(plain) as NodeJS.ProcessEnv;
}

/** Where Node has it: from the first moment on SIGUSR1 opens no inspector. bin/ninefs.js sees to it a little later. */
const NO_SIGNAL = '--disable-sigusr1';

/** The flags for a process in the background, of those that were given to this one. */
export function plainFlags(
  flags: readonly string[],
  known: ReadonlySet<string> = process.allowedNodeEnvironmentFlags,
): string[] {
  const kept = flags.filter((flag) => !/^--(inspect|debug|cpu-prof|heap-prof|prof$)/.test(flag) && flag !== NO_SIGNAL);
  return known.has(NO_SIGNAL) ? [...kept, NO_SIGNAL] : kept;
}

/** No program that this process starts gets a descriptor but those that it is given. */
export function keepDescriptors(): void {
  // elsewhere libuv starts programs so
  if (process.platform !== 'linux') return;
  const failed = addon().closeOnExec(FIRST);
  if (failed !== 0) throw new Error(`descriptors cannot be marked: ${errnoName(-failed)}`);
}

/**
 * Closes what this process has inherited beside stdin, stdout and stderr. Node does not know which descriptors are its own, so
 * the process begins anew, as the same program with the same pid, and comes here a second time.
 */
export function shedDescriptors(argv: readonly string[]): void {
  if (process.platform !== 'linux') return;
  const shed = process.env[SHED_VARIABLE] === String(process.pid);
  delete process.env[SHED_VARIABLE]; // not for the programs that it runs
  if (shed) return;
  const environment = Object.entries({ ...process.env, [SHED_VARIABLE]: String(process.pid) });
  const failed = addon().execute(
    process.execPath,
    [process.execPath, ...process.execArgv, ...argv.slice(1)],
    environment.map(([name, value]) => `${name}=${value ?? ''}`),
  );
  throw new Error(`${process.execPath} cannot be run again: ${errnoName(-failed)}`);
}
