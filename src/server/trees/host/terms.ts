// What clients may not do to a directory of the host, whoever they are, as far as it is a matter of modes: make programs
// that run with another's rights, for those who use the directory on this machine.

import { S, withoutPrivileges } from '../modes.ts';
import { check, STAT } from './syscalls.ts';
import type { Volume } from './volume.ts';

export interface HostTerms {
  readonly readOnly: boolean;
  /** No device nodes are made. */
  readonly nodev: boolean;
  /** No setuid or setgid bit is set, and no file gets capabilities. */
  readonly nosuid: boolean;
}

/** The permissions that a file gets of those that a client asks for. On a directory setgid is a matter of groups only. */
export function permissions({ nosuid }: HostTerms, mode: number, isDirectory: boolean): number {
  return nosuid && !isDirectory ? mode & 0o7777 & ~(S.ISUID | S.ISGID) : mode & 0o7777;
}

/** What is written to is no program with another's rights any more. Overwrites `volume.stat`. */
export function dropPrivileges(volume: Volume, fd: number): void {
  // of any other process than root's the kernel sees to it (write(2))
  if (!volume.identity.isPrivileged) return;
  volume.look(fd);
  const mode = volume.stat[STAT.MODE]!;
  if (!(mode & (S.ISUID | S.ISGID))) return;
  const left = withoutPrivileges(mode);
  if (left !== mode) check(volume.sys.chmod(fd, left & ~S.IFMT));
}
