// The typed face of addon/fusedev.c, loaded when first asked for, so that nothing else in the program needs it.
// Guarantees: a missing or unloadable addon is one ConfigError that says how to build it, never a stack trace.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../../common/errors.ts';

/** A descriptor watched on Node's event loop; it keeps the process alive until close() or unref(). */
export interface PollHandle {
  close(): void;
  ref(): void;
  unref(): void;
}

/** Numbers below 0 are negative Linux errnos. */
export interface Addon {
  /**
   * Calls onReadable whenever the descriptor is readable (level triggered), and once with a negative status when it
   * has died: read it then and learn why. Makes the descriptor non-blocking.
   */
  poll(fd: number, onReadable: (status: number) => void): PollHandle | number;
  read(fd: number, buffer: Buffer, offset: number, length: number): number;
  write(fd: number, buffer: Buffer, length: number): number;
  /** The first headLength bytes of `head`, then the pieces (at most 1023). */
  writev(fd: number, head: Buffer, headLength: number, pieces: readonly Uint8Array[]): number;
  mount(source: string, target: string, type: string, flags: number, data: string): Promise<number>;
  umount2(target: string, flags: number): Promise<number>;
  socketpair(): [ours: number, theirs: number] | number;
  /** The passed descriptor, close-on-exec; -EAGAIN when none has come, -ECONNRESET when none will. */
  receiveFd(socket: number): number;
  /** Programs that this process starts get none of the descriptors from `first` on but what they are given. */
  closeOnExec(first: number): number;
  /** This process becomes the program, with descriptors 0, 1 and 2 only; returns only when it cannot. */
  execute(file: string, args: readonly string[], env: readonly string[]): number;
  /**
   * A descriptor with a byte for each signal from then on that kills and that Node cannot listen to: its number. Faults of
   * this process end it as ever. There is one descriptor for all calls, and it stays open.
   */
  catchSignals(): number;
  /** Ends this process as a signal does that has no handler. */
  dieBy(signal: number): void;
  /** Ends this process without waiting for the threads of libuv's pool. */
  exit(code: number): void;
}

/** The most pieces of one writev, one being taken by the header (IOV_MAX). */
export const MAX_PIECES = 1023;

let loaded: Addon | undefined;

/** The addon; throws ConfigError when it is not built or this is not Linux. */
export function addon(): Addon {
  if (loaded !== undefined) return loaded;
  if (process.platform !== 'linux') {
    throw new ConfigError(`the /dev/fuse driver needs Linux, this is ${process.platform}: use --driver fuse-native`, 1);
  }
  // The folder has the same place beside src/ and beside dist/.
  const folder = fileURLToPath(new URL('../../../src/fuse/addon', import.meta.url));
  try {
    const require = createRequire(import.meta.url);
    const load = require('node-gyp-build') as (folder: string) => Addon;
    loaded = load(folder);
  } catch (cause) {
    throw new ConfigError(`the FUSE addon is not built: run "node ${folder}/install.mjs"`, 1, { cause });
  }
  return loaded;
}
