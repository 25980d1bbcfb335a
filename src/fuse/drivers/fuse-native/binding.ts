// The typed face of fuse-native's addon, which brings libfuse 2 into the process: one thread of libfuse a call, which waits
// until its call is answered. The addon is used without the package's own JavaScript, which hides from a file system how much
// room a caller gave for an extended attribute, drops the time of modification, and unmounts lazily in every case.
// Guarantees: a package that is not installed, or whose libfuse is missing, is one ConfigError that says what to do.

import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { ConfigError } from '../../../common/errors.ts';

/** The callbacks of struct fuse_operations that the addon has, by their names there. */
export const OPERATIONS = [
  ...[
    'init',
    'access',
    'statfs',
    'fgetattr',
    'getattr',
    'flush',
    'fsync',
    'fsyncdir',
    'readdir',
    'truncate',
    'ftruncate',
  ],
  ...['utimens', 'readlink', 'chown', 'chmod', 'mknod', 'setxattr', 'getxattr', 'listxattr', 'removexattr', 'open'],
  ...[
    'opendir',
    'read',
    'write',
    'release',
    'releasedir',
    'create',
    'unlink',
    'rename',
    'link',
    'symlink',
    'mkdir',
    'rmdir',
  ],
] as const;

/** Where a libfuse thread keeps its call (fuse_thread_locals_t); it names the call when it is answered. */
export type Native = Buffer;
export type NativeHandler = (native: Native, op: number, ...args: unknown[]) => void;

export interface Binding {
  readonly sizeof_fuse_thread_t: number;
  /** Throws where libfuse refuses; it says why on stderr itself. */
  fuse_native_mount(
    mountpoint: string,
    options: string,
    thread: Buffer,
    self: object,
    allocate: (size: number) => Buffer,
    handlers: readonly NativeHandler[],
    implemented: Uint32Array,
  ): void;
  /** Lets the event loop end; the mount is undone elsewhere. */
  fuse_native_unmount(mountpoint: string, thread: Buffer): void;
  readonly [opOrSignal: string]: unknown;
}

/** What ENOTFOUND would be for a library: RTLD_NODELETE of dlopen(3), which node has no name for. */
const RTLD_NODELETE = process.platform === 'darwin' ? 0x80 : 0x1000;

/**
 * The package's own libfuse, for a machine that has none: what is loaded by its name once satisfies the addon. Node takes it
 * for an addon that does not register, and says so; it stays loaded all the same.
 */
function loadBundledLibrary(folder: string): void {
  const library = join(folder, 'prebuilds', `${process.platform}-${process.arch}`, 'libfuse.so');
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch {
    // whether it is there shows when the addon is asked for again
  }
}

const INSTALL =
  process.platform === 'darwin'
    ? 'it needs macFUSE (https://macfuse.io), then "npm rebuild fuse-native"'
    : 'it needs libfuse 2 (on Debian: apt-get install libfuse2), or use --driver device';

let loaded: Binding | undefined;

/** Throws ConfigError. */
export function fuseNative(): Binding {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  let folder: string;
  try {
    folder = dirname(require.resolve('fuse-native/package.json'));
  } catch (cause) {
    throw new ConfigError('the package fuse-native is not installed: run "npm install fuse-native@2.2.6"', 1, {
      cause,
    });
  }
  const load = () => (require('node-gyp-build') as (folder: string) => Binding)(folder);
  try {
    loaded = load();
  } catch (first) {
    if (process.platform === 'linux') loadBundledLibrary(folder);
    try {
      loaded = load();
    } catch {
      const why = first instanceof Error ? (first.message.split('\n')[0] ?? '') : String(first);
      throw new ConfigError(`fuse-native does not load (${why}): ${INSTALL}`, 1, { cause: first });
    }
  }
  return loaded;
}
