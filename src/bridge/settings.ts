// What a mount is asked to be: every choice that a user can make, already parsed and checked, and what applies where
// nothing was chosen. The command line and the public mount() both come in here.

import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import type { Accounts } from '../client/accounts.ts';
import type { VersionChoice } from '../client/dialects/versions.ts';
import type { AbortSignalLike } from '../common/abort.ts';
import { ConfigError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import type { InterruptMode } from '../fuse/interrupt.ts';
import { type Address, formatAddress } from '../transport/address.ts';
import { DEFAULT_MSIZE } from '../wire/p9/constants.ts';
import type { NoMap } from './owners/ids.ts';

export { VERSIONS, type VersionChoice } from '../client/dialects/versions.ts';
export type { InterruptMode } from '../fuse/interrupt.ts';

/** Design of the three modes: see cache.ts. */
export type CacheMode = 'none' | 'auto' | 'loose';

/** Who attaches: each uid on first use (user), or one for all: the kernel checks modes (client), the server alone decides (any), as one uid. */
export type AccessMode = 'user' | 'client' | 'any' | number;

/** Whose ids are whose: see ids.ts. */
export type IdMapping = 'none' | 'user' | 'file';

/** What stands between the kernel and this process: /dev/fuse itself, or libfuse 2 by way of the package fuse-native. */
export type Driver = 'device' | 'fuse-native';

export interface MountSettings {
  address: Address;
  /** Shown as the device in /proc/mounts: the source as the user wrote it. */
  source: string;
  /** Absolute path of an existing directory. */
  mountpoint: string;
  aname: string;
  uname: string;
  /** n_uname of the attach. */
  uid: number;
  /** The primary group of whoever mounts. */
  gid: number;
  /** The dialect; auto: the richest that the server speaks. */
  version: VersionChoice;
  /** Bytes asked for; the server may lower it. */
  msize: number;
  cache: CacheMode;
  access: AccessMode;
  /** Who has which name, for a dialect of names; default: passwd and group of this machine. */
  accounts?: Accounts;
  /** Shown as owner and group where the server gives none (0xffffffff), or a name that nobody has here. */
  dfltuid: number;
  dfltgid: number;
  /** Shown as owner and group of everything, where given. */
  showUid?: number;
  showGid?: number;
  /** Permissions that nothing is shown with; without fmask for files, without dmask for directories. */
  umask?: number;
  fmask?: number;
  dmask?: number;
  /** Which of the server's ids are which here: all the same; the server's user is who mounts; as the files say. */
  idmap: IdMapping;
  /** Lines of name:id, the name one of this machine, the id the server's. */
  uidfile?: string;
  gidfile?: string;
  /** What becomes of an id that the file does not have; default: error. */
  nomap?: NoMap;
  /** Whether a chown that the server refuses fails. */
  chown: 'strict' | 'ignore';
  /** POSIX ACLs count: the server stores them, the kernel checks by them. */
  posixAcl: boolean;
  /** flock(2): among the processes of this mount, or of all of the server's clients. */
  flock: 'local' | 'remote';
  driver: Driver;
  readOnly: boolean;
  allowOther: boolean;
  /** The kernel checks modes, beside what the server checks. */
  defaultPermissions: boolean;
  nodev: boolean;
  nosuid: boolean;
  noexec: boolean;
  noatime: boolean;
  /** Mount flag MS_SYNCHRONOUS. */
  sync: boolean;
  /** Mount flag MS_DIRSYNC. */
  dirsync: boolean;
  /** Clear a stale mount on the mountpoint first. */
  force: boolean;
  /** Milliseconds after which a request is given up with ETIMEDOUT; 0: never. */
  timeout: number;
  /** Milliseconds that connecting and attaching may take. */
  connectTimeout: number;
  /** POSIX record locks are the server's; otherwise the local kernel keeps them, for this mount alone. */
  locks: boolean;
  /** When an interrupted caller is released. */
  intr: InterruptMode;
  /** Milliseconds that a harmless interrupt waits for the operation to end by itself. */
  intrGrace: number;
  /** Milliseconds that a Tflush may stay unanswered. */
  flushTimeout: number;
  /** Bytes of receive memory at the most. */
  rxPool: number;
  /** Gives the start up: mount() then rejects and leaves nothing mounted. Without meaning once the mount is live. */
  signal?: AbortSignalLike;
  logger: Logger;
  /** Makes the logger of one component; defaults to `logger` for all. */
  childLogger?: (component: string) => Logger;
}

/** What applies to a setting that nobody made. */
export const defaultSettings = {
  aname: '',
  version: 'auto',
  cache: 'auto',
  access: 'user',
  dfltuid: 65534,
  dfltgid: 65534,
  idmap: 'none',
  chown: 'strict',
  posixAcl: false,
  flock: 'local',
  driver: process.platform === 'linux' ? 'device' : 'fuse-native',
  readOnly: false,
  allowOther: false,
  defaultPermissions: false,
  nodev: true,
  nosuid: true,
  noexec: false,
  noatime: false,
  sync: false,
  dirsync: false,
  force: false,
  timeout: 0,
  connectTimeout: 20_000,
  locks: true,
  intr: 'auto',
  intrGrace: 1000,
  flushTimeout: 10_000,
  msize: DEFAULT_MSIZE,
  rxPool: 32 * 1024 * 1024,
  logger: silent,
} as const satisfies Partial<MountSettings>;

/** A mount's settings where only what differs from the defaults is said. */
export type GivenSettings = Pick<MountSettings, 'address' | 'mountpoint'> & Partial<MountSettings>;

/** The caller's name; a uid without one (in a container) is its own name. */
export function callerName(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

/** Fills in what was not said: the defaults, and the caller's own uid and name. */
export function completeSettings(given: GivenSettings): MountSettings {
  const uid = given.uid ?? process.getuid?.() ?? 0;
  return {
    ...defaultSettings,
    source: formatAddress(given.address),
    uname: callerName(uid),
    uid,
    gid: process.getgid?.() ?? 0,
    ...given,
    mountpoint: resolve(given.mountpoint),
    ...(given.uidfile !== undefined && { uidfile: resolve(given.uidfile) }),
    ...(given.gidfile !== undefined && { gidfile: resolve(given.gidfile) }),
  };
}

/** What cannot be had together, each with the reason that the user is told. */
const contradictions: readonly { when(settings: MountSettings): boolean; why: string }[] = [
  {
    // somebody would act as somebody else
    when: ({ driver, access, allowOther }) => driver === 'fuse-native' && access === 'user' && allowOther,
    why: 'access=user with allow_other: fuse-native does not tell who calls, everybody would act as you; use access=client or access=any',
  },
  {
    when: ({ idmap, uidfile, gidfile }) => idmap === 'file' && uidfile === undefined && gidfile === undefined,
    why: 'idmap=file: it needs uidfile=FILE, gidfile=FILE or both',
  },
  {
    when: ({ idmap, uidfile, gidfile }) => idmap !== 'file' && (uidfile !== undefined || gidfile !== undefined),
    why: 'uidfile= and gidfile= mean something with idmap=file only',
  },
  {
    when: ({ idmap, nomap }) => idmap !== 'file' && nomap !== undefined,
    why: 'nomap= means something with idmap=file only',
  },
  {
    when: ({ idmap, version }) => idmap === 'file' && version === '9P2000',
    why: 'idmap=file with version=9p2000: its owners are names, not numbers; those of this machine go by /etc/passwd',
  },
  {
    when: ({ flock, locks }) => flock === 'remote' && !locks,
    why: "flock=remote with nolock: locks are either the server's or kept here",
  },
  {
    when: ({ flock, version }) => flock === 'remote' && (version === '9P2000' || version === '9P2000.u'),
    why: 'flock=remote: only 9P2000.L has locks',
  },
  {
    when: ({ flock, driver }) => flock === 'remote' && driver === 'fuse-native',
    why: 'flock=remote: fuse-native has no locks',
  },
  {
    when: ({ posixAcl, version }) => posixAcl && (version === '9P2000' || version === '9P2000.u'),
    why: 'posixacl: only 9P2000.L has extended attributes, which ACLs are',
  },
  {
    when: ({ posixAcl, driver }) => posixAcl && driver === 'fuse-native',
    why: 'posixacl: libfuse 2, which fuse-native has, knows no ACLs',
  },
];

/** Throws ConfigError for settings that contradict each other, before anything is connected. */
export function checkSettings(settings: MountSettings): void {
  const found = contradictions.find(({ when }) => when(settings));
  if (found !== undefined) throw new ConfigError(found.why);
}
