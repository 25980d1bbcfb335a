// Plays the kernel for a FuseSession: requests are queued as bytes, replies are collected as bytes. Nothing is mounted.

import { openSync } from 'node:fs';
import { Cursor } from '../../src/common/cursor.ts';
import { errno } from '../../src/common/errno.ts';
import { Writer } from '../../src/common/writer.ts';
import type { Addon } from '../../src/fuse/drivers/addon.ts';
import { IN_HEADER, type OpcodeName, opcode } from '../../src/wire/fuse/constants.ts';
import { type Body, requests } from '../../src/wire/fuse/requests.ts';
import type { Struct } from '../../src/wire/fuse/structs.ts';

export interface Header {
  unique?: number;
  nodeid?: number;
  uid?: number;
  gid?: number;
  pid?: number;
}

/** A request's bytes, as read from the device. */
export function requestBytes<N extends OpcodeName>(name: N, body: Body<N>, header: Header = {}): Buffer {
  return rawRequest(opcode[name], (writer) => (requests[name] as Struct<Body<N>>).write(writer, body), header);
}

export function rawRequest(number: number, body: (writer: Writer) => void, header: Header = {}): Buffer {
  const writer = Writer.sized(2 << 20);
  writer.u32(0);
  writer.u32(number);
  writer.u53(header.unique ?? 2);
  writer.u53(header.nodeid ?? 1);
  writer.u32(header.uid ?? 0);
  writer.u32(header.gid ?? 0);
  writer.u32(header.pid ?? 0);
  writer.u32(0);
  body(writer);
  writer.setU32(0, writer.at);
  return Buffer.from(writer.bytes.subarray(0, Math.max(IN_HEADER, writer.at)));
}

export interface Reply {
  unique: number;
  error: number;
  body: Buffer;
}

export class Kernel {
  readonly replies: Reply[] = [];
  /** Errno with which the next replies are refused, one each; 0 takes it. */
  readonly refuse: number[] = [];
  readonly fd = openSync('/dev/null', 'r+');
  #queue: (Buffer | number)[] = [];
  #readable: ((status: number) => void) | undefined;
  /** Reads that found something, by how many the session took before it returned to the loop. */
  readonly batches: number[] = [];
  closed = false;

  readonly device: Pick<Addon, 'poll' | 'read' | 'write' | 'writev'> = {
    poll: (_fd, onReadable) => {
      this.#readable = onReadable;
      const close = (): void => {
        this.closed = true;
      };
      return { close, ref: () => {}, unref: () => {} };
    },
    read: (_fd, buffer, offset, length) => {
      const next = this.#queue.shift();
      if (next === undefined) return -errno.EAGAIN;
      if (typeof next === 'number') return -next;
      if (next.length > length) return -errno.EINVAL;
      next.copy(buffer, offset);
      this.batches[this.batches.length - 1]!++;
      return next.length;
    },
    write: (_fd, buffer, length) => this.#reply(Buffer.from(buffer.subarray(0, length))),
    writev: (_fd, head, length, pieces) => this.#reply(Buffer.concat([head.subarray(0, length), ...pieces])),
  };

  #reply(bytes: Buffer): number {
    const refused = this.refuse.shift() ?? 0;
    if (refused !== 0) return -refused;
    const cursor = new Cursor(bytes);
    const length = cursor.u32();
    if (length !== bytes.length) return -errno.EINVAL;
    const error = 0 - cursor.i32();
    // fs/fuse/dev.c, fuse_dev_do_write
    if (error >= 512 || error < 0) return -errno.EINVAL;
    this.replies.push({ error, unique: cursor.u53(), body: bytes.subarray(16) });
    return length;
  }

  /** Makes them readable and lets the session read, once for each batch. A number is an errno of read(2). */
  send(...messages: (Buffer | number)[]): void {
    this.#queue.push(...messages);
    do {
      this.batches.push(0);
      this.#readable?.(0);
    } while (this.#queue.length > 0 && !this.closed);
  }

  init(flags = 0xffff_ffff_ffffn, minor = 45, major = 7): void {
    const more = Buffer.alloc(48);
    more.writeUInt32LE(Number(flags >> 32n));
    this.send(
      requestBytes(
        'INIT',
        { major, minor, maxReadahead: 131072, flags: Number(flags & 0xffff_ffffn), more },
        { nodeid: 0 },
      ),
    );
  }

  /** The replies since the last call. */
  take(): Reply[] {
    return this.replies.splice(0);
  }
}
