// The `-o` vocabulary of `ninefs mount`, as one table: what a name takes, where it goes, what --help says of it.
// The names are those of mount(8) and v9fs; what concerns only mount(8) or systemd is accepted and ignored, as mount(8)
// ignores it. How a list is read, and what is said of a wrong one, is optionlist.ts.

import type { NoMap } from '../bridge/owners/ids.ts';
import {
  type AccessMode,
  type CacheMode,
  type IdMapping,
  type InterruptMode,
  type MountSettings,
  VERSIONS,
  type VersionChoice,
} from '../bridge/settings.ts';
import { MIN_MSIZE } from '../wire/p9/constants.ts';
import { LEVELS, type Level } from './logging.ts';

/** What the options say; what they leave out is absent. */
export interface Choices {
  settings: Partial<MountSettings>;
  port?: number;
  fsname?: string;
  log?: string;
  loglevel?: Level;
  nofail?: true;
  keepDead?: true;
}

interface Common {
  name: string;
  help: string;
}
export interface Flag<T = Choices> extends Common {
  kind: 'flag';
  put(to: T): void;
}
interface Text<T = Choices> extends Common {
  kind: 'text';
  /** How the value is called in --help. */
  value: string;
  /** What is wrong and what would be right, when the text is not. */
  check?: (text: string) => string | undefined;
  put(to: T, text: string): void;
}
export interface Numeric<T = Choices> extends Common {
  kind: 'number';
  unit: 'number' | 'bytes' | 'seconds';
  min: number;
  max: number;
  put(to: T, number: number): void;
}
export interface Choice<T = Choices> extends Common {
  kind: 'choice';
  choices: readonly string[];
  put(to: T, choice: string): void;
}
export type Option<T = Choices> = Flag<T> | Text<T> | Numeric<T> | Choice<T>;

const UINT32 = 0xffffffff;
const MINUTE = 60;
export const MIB = 1024 * 1024;

const flag = (name: string, help: string, put: Flag['put']): Flag => ({ kind: 'flag', name, help, put });

export const text = <T = Choices>(
  name: string,
  value: string,
  help: string,
  put: Text<T>['put'],
  check?: Text['check'],
): Text<T> => ({
  kind: 'text',
  name,
  value,
  help,
  put,
  ...(check === undefined ? {} : { check }),
});

export const number = <T = Choices>(
  name: string,
  unit: Numeric['unit'],
  [min, max]: readonly [number, number],
  help: string,
  put: Numeric<T>['put'],
): Numeric<T> => ({ kind: 'number', name, unit, min, max, help, put });

const choice = (name: string, choices: readonly string[], help: string, put: Choice['put']): Choice => ({
  kind: 'choice',
  name,
  choices,
  help,
  put,
});

/** A mask, as umask(1) takes it. */
const octal = (name: string, help: string, put: (to: Choices, mask: number) => void): Text =>
  text(
    name,
    'OCTAL',
    help,
    (to: Choices, mask) => put(to, Number.parseInt(mask, 8)),
    (mask) => (/^0?[0-7]{1,3}$/.test(mask) ? undefined : 'it takes an octal number from 0 to 777'),
  );

function checkAccess(text: string): string | undefined {
  if (text === 'user' || text === 'client' || text === 'any') return undefined;
  return /^\d{1,10}$/.test(text) && Number(text) < UINT32 ? undefined : 'it takes user, client, any or a uid';
}

/** mount(8) is used to small letters. */
function versionOf(text: string): VersionChoice | undefined {
  const choices = ['auto', ...VERSIONS] as const;
  return choices.find((version) => version.toLowerCase() === text.toLowerCase());
}

const notEmpty = (what: string) => (text: string) => (text === '' ? `it takes ${what}` : undefined);

/** Every option that means something here. */
export const options: readonly Option[] = [
  text('aname', 'NAME', 'the tree to attach to (default: empty, the server chooses)', (to, name) => {
    to.settings.aname = name;
  }),
  text('uname', 'NAME', 'the user name sent with it (default: yours)', (to, name) => {
    to.settings.uname = name;
  }),
  text(
    'version',
    'auto|9p2000.L|9p2000.u|9p2000',
    'the dialect; auto: the richest that the server speaks (default)',
    (to, version) => {
      to.settings.version = versionOf(version) ?? 'auto';
    },
    (version) => (versionOf(version) === undefined ? 'it takes auto, 9p2000.L, 9p2000.u or 9p2000' : undefined),
  ),
  number('msize', 'bytes', [MIN_MSIZE, 64 * MIB], 'largest message, k and m allowed (default 1m + 24)', (to, bytes) => {
    to.settings.msize = bytes;
  }),
  number('port', 'number', [1, 65535], 'TCP port, for a source without one (default 564)', (to, port) => {
    to.port = port;
  }),
  choice('cache', ['none', 'auto', 'loose'], 'what may be kept without asking (default auto)', (to, mode) => {
    to.settings.cache = mode as CacheMode;
  }),
  text(
    'access',
    'user|client|any|UID',
    'attach as every user, once for all, once with no checks here, or as UID (default user)',
    (to, who) => {
      to.settings.access = /^\d/.test(who) ? Number(who) : (who as AccessMode);
    },
    checkAccess,
  ),
  number('dfltuid', 'number', [0, UINT32 - 1], 'owner shown where the server names none (default 65534)', (to, id) => {
    to.settings.dfltuid = id;
  }),
  number('dfltgid', 'number', [0, UINT32 - 1], 'group shown where the server names none (default 65534)', (to, id) => {
    to.settings.dfltgid = id;
  }),
  choice(
    'idmap',
    ['none', 'user', 'file'],
    "whose ids are whose: the same, the server's user is you, or as files say (default none)",
    (to, mapping) => {
      to.settings.idmap = mapping as IdMapping;
    },
  ),
  text(
    'uidfile',
    'FILE',
    'for idmap=file: NAME:UID a line, a user here and its number at the server',
    (to, file) => {
      to.settings.uidfile = file;
    },
    notEmpty('a file'),
  ),
  text(
    'gidfile',
    'FILE',
    'for idmap=file: NAME:GID a line, the same of groups',
    (to, file) => {
      to.settings.gidfile = file;
    },
    notEmpty('a file'),
  ),
  choice(
    'nomap',
    ['error', 'ignore'],
    'what an id that no file has becomes: EPERM, or itself (default error)',
    (to, what) => {
      to.settings.nomap = what as NoMap;
    },
  ),
  number('uid', 'number', [0, UINT32 - 1], 'owner shown for everything', (to, id) => {
    to.settings.showUid = id;
  }),
  number('gid', 'number', [0, UINT32 - 1], 'group shown for everything', (to, id) => {
    to.settings.showGid = id;
  }),
  octal('umask', 'permissions that nothing is shown with; all others are shown', (to, mask) => {
    to.settings.umask = mask;
  }),
  octal('fmask', 'the same for files alone', (to, mask) => {
    to.settings.fmask = mask;
  }),
  octal('dmask', 'the same for directories alone', (to, mask) => {
    to.settings.dmask = mask;
  }),
  choice('chown', ['strict', 'ignore'], 'what a refused chown does: fail, or nothing (default strict)', (to, what) => {
    to.settings.chown = what as MountSettings['chown'];
  }),
  flag('posixacl', "POSIX ACLs count: the server's, checked by the kernel; implies default_permissions", (to) => {
    to.settings.posixAcl = true;
  }),
  flag('ro', 'read only', (to) => {
    to.settings.readOnly = true;
  }),
  flag('rw', 'read and write (default)', (to) => {
    to.settings.readOnly = false;
  }),
  flag('allow_other', 'other users may enter (user_allow_other in /etc/fuse.conf, or root)', (to) => {
    to.settings.allowOther = true;
  }),
  flag('default_permissions', 'the kernel checks modes, beside the server', (to) => {
    to.settings.defaultPermissions = true;
  }),
  text(
    'fsname',
    'NAME',
    'shown as the device in /proc/mounts (default: the source)',
    (to, name) => {
      to.fsname = name;
    },
    notEmpty('a name'),
  ),
  number('timeout', 'seconds', [0, 1440 * MINUTE], 'give a request up with ETIMEDOUT (default 0: never)', (to, s) => {
    to.settings.timeout = s * 1000;
  }),
  flag('lock', "record locks are the server's (default)", (to) => {
    to.settings.locks = true;
  }),
  flag('nolock', 'record locks are kept here, for this mount alone', (to) => {
    to.settings.locks = false;
  }),
  choice(
    'flock',
    ['local', 'remote'],
    "flock(2) locks: of this mount, or the server's (default local)",
    (to, where) => {
      to.settings.flock = where as MountSettings['flock'];
    },
  ),
  choice('intr', ['auto', 'now', 'fatal', 'off'], 'which interrupts end a waiting call (default auto)', (to, mode) => {
    to.settings.intr = mode as InterruptMode;
  }),
  number('intrgrace', 'seconds', [0, 60 * MINUTE], 'a harmless interrupt waits that long (default 1)', (to, s) => {
    to.settings.intrGrace = s * 1000;
  }),
  number('flushtimeout', 'seconds', [0.1, 60 * MINUTE], 'a Tflush may take that long (default 10)', (to, s) => {
    to.settings.flushTimeout = s * 1000;
  }),
  number(
    'rxpool',
    'bytes',
    [MIB, 4096 * MIB],
    'receive memory at the most, k, m, g allowed (default 32m)',
    (to, bytes) => {
      to.settings.rxPool = bytes;
    },
  ),
  flag('force', 'clear a stale mount on the mountpoint first; cover a directory that the machine needs', (to) => {
    to.settings.force = true;
  }),
  flag('keepdead', 'leave the mount in place when its process is killed, instead of detaching it', (to) => {
    to.keepDead = true;
  }),
  text(
    'log',
    'FILE',
    'append the log to FILE (JSON lines)',
    (to, file) => {
      to.log = file;
    },
    notEmpty('a file'),
  ),
  choice('loglevel', LEVELS, 'how much is logged (default info)', (to, level) => {
    to.loglevel = level as Level;
  }),
  flag('nofail', 'exit 0 with a warning when the server cannot be reached', (to) => {
    to.nofail = true;
  }),
  ...protections(),
];

/** mount(8)'s flags that the kernel enforces; each pair is one setting. */
function protections(): Flag[] {
  const set = (part: Partial<MountSettings>) => (to: Choices) => {
    Object.assign(to.settings, part);
  };
  return [
    flag('nodev', 'no device files (default)', set({ nodev: true })),
    flag('dev', 'device files work', set({ nodev: false })),
    flag('nosuid', 'set-user-id bits are ignored (default)', set({ nosuid: true })),
    flag('suid', 'set-user-id bits work', set({ nosuid: false })),
    flag('noexec', 'nothing can be executed', set({ noexec: true })),
    flag('exec', 'programs can be executed (default)', set({ noexec: false })),
    flag(
      'noatime',
      "reading leaves access times alone, the server's too where it permits that",
      set({ noatime: true }),
    ),
    flag('atime', 'access times are kept (default)', set({ noatime: false })),
    flag('sync', 'writes are synchronous', set({ sync: true })),
    flag('async', 'writes are not synchronous (default)', set({ sync: false })),
    flag('dirsync', 'directory changes are synchronous', set({ dirsync: true })),
    // mount(8): user and users imply noexec, nosuid, nodev; owner and group the latter two; later options override
    flag('user', 'implies nodev, nosuid, noexec', set({ nodev: true, nosuid: true, noexec: true })),
    flag('users', 'implies nodev, nosuid, noexec', set({ nodev: true, nosuid: true, noexec: true })),
    flag('owner', 'implies nodev, nosuid', set({ nodev: true, nosuid: true })),
    flag('group', 'implies nodev, nosuid', set({ nodev: true, nosuid: true })),
  ];
}

/** For fstab's sake: these speak to mount(8) or systemd, or name what a FUSE mount does anyway. */
export const ignored: readonly string[] = [
  '_netdev',
  'auto',
  'noauto',
  'nouser',
  'defaults',
  'relatime',
  'norelatime',
  'strictatime',
  'nostrictatime',
  'lazytime',
  'nolazytime',
  'diratime',
  'nodiratime',
  'silent',
  'loud',
];
