// The other driver: libfuse 2 by way of the package fuse-native, for macOS and for whoever wants it on Linux. Path callbacks
// become operations on nodes (fuse-native/callbacks.ts).
// Guarantees: resolves only when the kernel has begun to use the mount; every callback is answered once, and no exception
// leaves one; when the mount ends, what is in flight is aborted, every node is forgotten and destroy() is called once.

import { Abort } from '../../common/abort.ts';
import type { Unique } from '../../common/brand.ts';
import { deferred, within } from '../../common/deadline.ts';
import { clampErrno, errno, errnoName } from '../../common/errno.ts';
import { ConfigError, ConnectionError, ErrnoError, ProtocolError } from '../../common/errors.ts';
import { type Logger, silent } from '../../common/log.ts';
import type { MountOptions, UnmountOptions } from '../mount.ts';
import type { Operations, RequestContext } from '../operations.ts';
import type { SessionEnd, SessionStats } from '../session.ts';
import { type Binding, fuseNative, type NativeHandler, OPERATIONS } from './fuse-native/binding.ts';
import type { Callback } from './fuse-native/callback.ts';
import { callbacks } from './fuse-native/callbacks.ts';
import { type Host, hostErrno, thisHost } from './fuse-native/forms.ts';
import { type Keeping, libfuseOptions } from './fuse-native/options.ts';
import { Pace } from './fuse-native/pace.ts';
import { linuxPlace, macPlace, type Place } from './fuse-native/place.ts';

const INIT_MS = 10_000;
/** How long a lazy unmount waits for the mount's users before what they wait for is ended. */
const LAZY_MS = 1000;
/** How long the end waits for what is in flight. */
const DRAIN_MS = 2000;

export interface FuseNativeOptions {
  operations: Operations;
  mount: MountOptions;
  keep: Keeping;
  logger?: Logger;
  /** For tests. */
  binding?: Binding;
  host?: Host;
  place?: Place;
}

export interface FuseNativeMount {
  /** Canonical. */
  readonly mountpoint: string;
  readonly done: Promise<SessionEnd>;
  readonly stats: SessionStats;
  unmount(options?: UnmountOptions): Promise<SessionEnd>;
}

/** What the addon writes into and knows by address alone; libfuse's threads may outlive their mount. */
const memory: Buffer[] = [];

type Counts = { -readonly [K in keyof SessionStats]: SessionStats[K] };

export async function serveFuseNative(options: FuseNativeOptions): Promise<FuseNativeMount> {
  const { operations, mount, keep, logger = silent, host = thisHost } = options;
  const binding = options.binding ?? fuseNative();
  const place = options.place ?? (await (host.mac ? macPlace : linuxPlace)(mount));
  const list = libfuseOptions(mount, keep, host.mac, process.geteuid?.() === 0);
  const { table, names } = callbacks(operations, { host, direct: keep.direct });
  const ending = new Abort();
  const stats: Counts = {
    inFlight: 0,
    requests: 0,
    replies: 0,
    errors: 0,
    interrupts: 0,
    forgotten: 0,
    lateReplies: 0,
    slabsLent: 0,
  };
  const ready = deferred<void>();
  const idle: (() => void)[] = [];
  const pace = new Pace();
  let unique = 0;

  /** libfuse knows who calls, and the addon does not tell: everybody is the one who mounted. */
  const ids = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, pid: 0 };
  const context = (): RequestContext => {
    unique += 2;
    return { unique: unique as Unique, ...ids, signal: ending };
  };

  function errnoFor(error: unknown, name: string): number {
    if (error instanceof ErrnoError) return clampErrno(error.errno);
    // the connection's end is told once, by whoever lost it
    if (error instanceof ConnectionError || error instanceof ProtocolError)
      logger.debug({ err: error, op: name }, 'failed');
    else logger.error({ err: error, op: name }, 'the file system threw');
    return errno.EIO;
  }

  function handler(name: string, callback: Callback): NativeHandler {
    const signal = binding[`fuse_native_signal_${name}`] as (native: Buffer, ...answer: unknown[]) => void;
    return (native, _op, ...args) => {
      stats.requests++;
      stats.inFlight++;
      pace.came();
      const started = performance.now();
      const answer = (result: number, extras: readonly unknown[]): void => {
        stats.inFlight--;
        stats.replies++;
        if (result < 0) stats.errors++;
        pace.answer(() => signal(native, result, ...extras));
        if (stats.inFlight === 0) for (const tell of idle.splice(0)) tell();
        if (!logger.isLevelEnabled('trace')) return;
        const ms = Math.round((performance.now() - started) * 1000) / 1000;
        const path = typeof args[0] === 'string' ? args[0] : undefined;
        logger.trace({ op: name, path, errno: result < 0 ? errnoName(-result) : undefined, ms }, 'answered');
      };
      void callback.run(context(), native, args).then(
        ({ result, extras }) => answer(result, extras),
        (error: unknown) => answer(hostErrno(errnoFor(error, name), host), callback.failed(args)),
      );
    };
  }

  const handlers: NativeHandler[] = new Array(34).fill(() => {});
  const implemented = new Uint32Array(35);
  for (const name of OPERATIONS) {
    const op = binding[`op_${name}`] as number;
    const callback = table[name];
    if (name === 'init') {
      handlers[op] = (native) => {
        (binding['fuse_native_signal_init'] as (native: Buffer, result: number) => void)(native, 0);
        ready.resolve();
      };
    } else if (callback !== undefined) handlers[op] = handler(name, callback);
    implemented[op] = name === 'init' || callback !== undefined ? 1 : 0;
  }

  const allocate = (size: number): Buffer => {
    const buffer = Buffer.alloc(size);
    memory.push(buffer);
    return buffer;
  };
  const thread = allocate(binding.sizeof_fuse_thread_t);
  try {
    binding.fuse_native_mount(place.mountpoint, list, thread, {}, allocate, handlers, implemented);
  } catch (cause) {
    throw new ConfigError(`libfuse cannot mount on ${place.mountpoint}; what it said is above`, 1, { cause });
  }
  const watched = place.watch();
  const over = deferred<SessionEnd>();
  void watched.gone.then(() => end('unmounted'));

  let ended: Promise<SessionEnd> | undefined;
  function end(how: 'unmounted' | 'stopped'): Promise<SessionEnd> {
    ended ??= (async () => {
      watched.stop();
      ending.abort('unmounted');
      if (stats.inFlight > 0) {
        const quiet = new Promise<void>((resolve) => {
          idle.push(resolve);
        });
        await within(quiet, DRAIN_MS, () => logger.warn({ inFlight: stats.inFlight }, 'not everything was answered'));
      }
      names.clear();
      binding.fuse_native_unmount(place.mountpoint, thread);
      try {
        await operations.destroy();
        return { how };
      } catch (error) {
        return { how: 'failed', error: error instanceof Error ? error : new Error(String(error)) };
      }
    })();
    void ended.then(over.resolve);
    return ended;
  }

  try {
    await within(ready.promise, INIT_MS, () => {
      throw new ConfigError('the kernel did not begin to use the mount', 1);
    });
  } catch (error) {
    await place.unmount(true).catch((cause: unknown) => logger.warn({ err: cause }, 'cannot unmount'));
    await end('stopped');
    throw error;
  }
  return {
    mountpoint: place.mountpoint,
    done: over.promise,
    stats,
    async unmount({ lazy = false, detached } = {}) {
      if (ended !== undefined) return ended;
      await place.unmount(lazy);
      detached?.();
      const late = Symbol();
      const last = await within<SessionEnd | typeof late>(over.promise, lazy ? LAZY_MS : INIT_MS, () => late);
      // another mount on the same place hides that this one has gone
      return last === late ? end('stopped') : last;
    },
  };
}
