// The frame of a request, or the errno with which a call fails that no frame can carry: the caller's fault, so that the
// connection lives on. intro(9P) lets a message be refused, never cut.

import { errno } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import { byteLength } from '../common/text.ts';
import type { Codec, Frame } from '../wire/p9/codec.ts';
import type { Request } from './request.ts';

const MAX_STRING = 0xffff;

/** A string, or one in a list or a stat. */
function isTooLong(value: unknown): boolean {
  if (typeof value === 'string') return byteLength(value) > MAX_STRING;
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
    ? Object.values(value).some(isTooLong)
    : false;
}

/** The errno of what the codec threw. */
function reasonOf(error: unknown, body: object): number {
  if (isTooLong(body)) return errno.ENAMETOOLONG;
  return error instanceof ErrnoError ? error.errno : errno.EINVAL;
}

/**
 * Throws ErrnoError: ENAMETOOLONG where a name is longer than the format allows or makes the message longer than msize,
 * EMSGSIZE where a payload does, EILSEQ for a name that has no bytes (common/text.ts), EINVAL where a number does not fit its
 * field.
 */
export function encodeRequest(codec: Codec, msize: number, { name, body }: Request, tag: number): Frame {
  let frame: Frame;
  try {
    frame = codec.encode(name, tag, body);
  } catch (error) {
    throw new ErrnoError(reasonOf(error, body), `${name}: ${(error as Error).message}`);
  }
  const size = frame.head.length + (frame.payload?.length ?? 0);
  if (size <= msize) return frame;
  const number = frame.payload === undefined ? errno.ENAMETOOLONG : errno.EMSGSIZE;
  throw new ErrnoError(number, `${name} of ${size} bytes, msize is ${msize}`);
}
