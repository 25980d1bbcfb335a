// What the tests of this folder share: receivers that note what comes, frames that can be told apart, a promise for a
// condition that some later event makes true.

import type { Receiver, Transport } from '../../../src/transport/transport.ts';
import { FrameReader } from '../../../src/wire/p9/framing.ts';

/** Resolves when `test` is true, which is looked at whenever check() is called. */
export class Condition {
  #waiters: { test: () => boolean; resolve: () => void }[] = [];

  check(): void {
    this.#waiters = this.#waiters.filter(({ test, resolve }) => {
      if (!test()) return true;
      resolve();
      return false;
    });
  }

  until(test: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ test, resolve });
      this.check();
    });
  }
}

/** Frames of one side as they come: tag and payload (or body). */
export interface Inbox {
  readonly receiver: Receiver;
  readonly frames: { tag: number; bytes: Buffer }[];
  /** Resolves when so many frames have come. */
  count(frames: number): Promise<void>;
}

export function inbox(onFrame?: (tag: number) => void): Inbox {
  const frames: Inbox['frames'] = [];
  const condition = new Condition();
  const reader = new FrameReader(4 * 1024 * 1024, {
    frame(bytes, start, end, payload) {
      const tag = bytes.readUInt16LE(start + 5);
      frames.push({ tag, bytes: Buffer.from(payload ?? bytes.subarray(start + 7, end)) });
      onFrame?.(tag);
      condition.check();
    },
    sink: (_bytes, _start, length) => new Uint8Array(length),
  });
  return { receiver: reader, frames, count: (wanted) => condition.until(() => frames.length >= wanted) };
}

/** A frame with a payload of `length` bytes that depend on the tag: its head and its payload. */
export function frame(tag: number, length: number): [head: Buffer, payload: Buffer] {
  const head = Buffer.alloc(11);
  head.writeUInt32LE(11 + length, 0);
  head[4] = 117;
  head.writeUInt16LE(tag, 5);
  head.writeUInt32LE(length, 7);
  return [head, content(tag, length)];
}

export function content(tag: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (tag * 31 + i + (i >> 8)) & 0xff;
  return bytes;
}

/** Sends and resolves with what send() said, when the bytes are taken. */
export function sent(transport: Transport, [head, payload]: [Buffer, Buffer?]): Promise<void> {
  return new Promise((resolve) => {
    transport.send(head, payload, () => resolve());
  });
}

/** Work that was due has been done after this; nothing depends on how long it takes. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
