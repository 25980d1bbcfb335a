// Builds one reply after another in the same small buffer and writes each to the device with one system call.
// Guarantees: the buffer is free again when send() returns, because a write to /dev/fuse neither blocks nor keeps what
// it was given; payloads are handed to writev(2) where they lie. Must not be used across ticks: begin() to send() is one step.

import { errno } from '../common/errno.ts';
import { Writer } from '../common/writer.ts';
import { OUT_HEADER, PAGE } from '../wire/fuse/constants.ts';
import { LARGEST_FIXED, writeOutHeader } from '../wire/fuse/replies.ts';
import { type Addon, MAX_PIECES } from './drivers/addon.ts';

/** Room for every fixed body and for a symlink's target (PATH_MAX). */
const ROOM = PAGE + LARGEST_FIXED;

/** Called with what is about to be written; `payload` in bytes. */
export type ReplyTrace = (head: Uint8Array, payload: number) => void;

export class ReplyWriter {
  readonly #addon: Pick<Addon, 'write' | 'writev'>;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(ROOM);
  /** Stands where the body goes on. */
  readonly body = new Writer(this.#buffer, OUT_HEADER);
  #pieces: readonly Uint8Array[] | undefined;
  #payload = 0;

  constructor(device: Pick<Addon, 'write' | 'writev'>, fd: number) {
    this.#addon = device;
    this.#fd = fd;
  }

  /** Starts over. */
  begin(): void {
    this.body.at = OUT_HEADER;
    this.#pieces = undefined;
    this.#payload = 0;
  }

  /** Puts bytes behind the body; they must stay as they are until send(). */
  payload(data: Uint8Array | readonly Uint8Array[]): void {
    let pieces = data instanceof Uint8Array ? [data] : data;
    // A system call takes so many pieces and no more: a reply cut finer than that is joined first.
    if (pieces.length > MAX_PIECES) pieces = [Buffer.concat(pieces)];
    let length = 0;
    for (const piece of pieces) length += piece.length;
    this.#pieces = pieces;
    this.#payload = length;
  }

  /** Writes what was built. 0 or a positive errno. */
  send(unique: number, trace?: ReplyTrace): number {
    const head = this.body.at;
    const length = head + this.#payload;
    writeOutHeader(this.#buffer, length, 0, unique);
    trace?.(this.#buffer.subarray(0, head), this.#payload);
    const pieces = this.#pieces;
    this.#pieces = undefined;
    const written =
      pieces === undefined
        ? this.#addon.write(this.#fd, this.#buffer, head)
        : this.#addon.writev(this.#fd, this.#buffer, head, pieces);
    return outcome(written, length);
  }

  /** An error reply is the header alone. `number` must be in 1..511 (errno.ts's clamp). */
  sendError(unique: number, number: number, trace?: ReplyTrace): number {
    writeOutHeader(this.#buffer, OUT_HEADER, -number, unique);
    trace?.(this.#buffer.subarray(0, OUT_HEADER), 0);
    return outcome(this.#addon.write(this.#fd, this.#buffer, OUT_HEADER), OUT_HEADER);
  }
}

function outcome(written: number, length: number): number {
  if (written < 0) return -written;
  return written === length ? 0 : errno.EIO;
}
