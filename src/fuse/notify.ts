// Messages to the kernel that nobody asked for: drop a file's pages, a name, every name.
// The write of one may wait for a page lock or a directory lock whose holder waits for a reply of ours, so it must never be
// done on the thread that serves the device: fs.write runs on the thread pool, one at a time of those that may get stuck and
// one of the others, so that they take two of its few threads and no more. Who awaits a notification inside an operation on
// the same file's pages waits for himself.

import { write } from 'node:fs';
import type { NodeId } from '../common/brand.ts';
import { errno, errnoOf } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import { byteLength } from '../common/text.ts';
import { Writer } from '../common/writer.ts';
import { EXPIRE_ONLY, notify, OUT_HEADER } from '../wire/fuse/constants.ts';
import { notifyDelete, notifyInvalEntry, notifyInvalInode, writeOutHeader } from '../wire/fuse/replies.ts';
import type { Struct } from '../wire/fuse/structs.ts';

/** Notifications waiting at most; a file system that has more to say than this should use incEpoch(). */
const WAITING = 1024;

type Lane = 'slow' | 'quick';

/** Writes bytes off the event loop; settles with 0 or a positive errno. */
export type NotifyWrite = (bytes: Buffer) => Promise<number>;

/** Through libuv's thread pool. */
export function threadWrite(fd: number): NotifyWrite {
  return (bytes) =>
    new Promise((resolve) => {
      write(fd, bytes, (error) => resolve(error === null ? 0 : errnoOf(error)));
    });
}

/** Each call resolves to whether the kernel knew what it was told about. */
export class Notifier {
  readonly #write: NotifyWrite;
  /** The last of those that may wait for a lock, and of those that never do. */
  readonly #last: Record<Lane, Promise<unknown>> = { slow: Promise.resolve(), quick: Promise.resolve() };
  #waiting = 0;
  #state: 'open' | 'closed' = 'open';

  constructor(write: NotifyWrite) {
    this.#write = write;
  }

  /** Drops attributes, and the pages in [offset, offset + length); length 0: to the end; offset below 0: no pages. */
  invalInode(nodeid: NodeId, offset = 0, length = 0): Promise<boolean> {
    const lane = offset < 0 ? 'quick' : 'slow';
    return this.#send(notify.INVAL_INODE, notifyInvalInode, { nodeid, offset, length }, lane);
  }

  /** Drops a name; `expire` (HAS_EXPIRE_ONLY) only lets it be asked for again, and spares what is mounted below it. */
  invalEntry(parent: NodeId, name: string, expire = false): Promise<boolean> {
    const namelen = byteLength(name);
    return this.#send(notify.INVAL_ENTRY, notifyInvalEntry, { parent, namelen, flags: expire ? EXPIRE_ONLY : 0, name });
  }

  /** A name is gone: like invalEntry, and watchers are told of the deletion. */
  deleted(parent: NodeId, child: NodeId, name: string): Promise<boolean> {
    const namelen = byteLength(name);
    return this.#send(notify.DELETE, notifyDelete, { parent, child, namelen, name });
  }

  /** Makes every name be asked for again (7.44); rejects with EINVAL on older kernels. */
  incEpoch(): Promise<boolean> {
    return this.#send(notify.INC_EPOCH, undefined, undefined);
  }

  /** Sends no more, and settles when the one being written has been. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await Promise.all(Object.values(this.#last));
  }

  #send<V>(code: number, body: Struct<V> | undefined, values: V, lane: Lane = 'slow'): Promise<boolean> {
    if (this.#waiting >= WAITING) return Promise.reject(new ErrnoError(errno.ENOBUFS, 'notifications waiting'));
    const writer = Writer.sized(OUT_HEADER + (body?.sizeOf(values) ?? 0));
    writer.at = OUT_HEADER;
    body?.write(writer, values);
    writeOutHeader(writer.bytes, writer.at, code, 0);
    this.#waiting++;
    const sent = this.#last[lane].then(() => this.#now(writer.bytes)).finally(() => this.#waiting--);
    this.#last[lane] = sent.catch(() => {}); // the caller has the error; the next in line only needs the turn
    return sent;
  }

  async #now(bytes: Buffer): Promise<boolean> {
    if (this.#state === 'closed') return false;
    const failed = await this.#write(bytes);
    if (failed === 0) return true;
    // ENOENT: the inode or name is not cached; ENOTDIR, ENOTEMPTY, EBUSY: the name is in use and stays; ENODEV: unmounted.
    const harmless: number[] = [errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EBUSY, errno.ENODEV];
    if (harmless.includes(failed)) return false;
    throw new ErrnoError(failed, 'notification');
  }
}
