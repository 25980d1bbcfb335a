// Refusals: errors whose only use is their number in an Rlerror. One object for each errno is thrown again and again,
// because recording a stack costs more than all else that a failed lookup does.

import { errno } from '../common/errno.ts';
import { CancelledError, ErrnoError } from '../common/errors.ts';

const kept = new Map<number, ErrnoError>();

/** Throws the ErrnoError of this number. Its stack is that of the first time and means nothing. */
export function refuse(number: number): never {
  let error = kept.get(number);
  if (error === undefined) {
    error = new ErrnoError(number);
    if (number < 512) kept.set(number, error);
  }
  throw error;
}

/** To be called before an effect, after whatever was waited for. */
export function stopIfAborted(signal: { readonly aborted: boolean }): void {
  if (signal.aborted) throw new CancelledError();
}

/** The name of a directory entry to be made, removed or renamed; `dots` is the errno for `.` and `..`. */
export function checkName(name: string, dots: number): void {
  if (name === '') refuse(errno.ENOENT);
  if (name === '.' || name === '..') refuse(dots);
  if (name.includes('/')) refuse(errno.EINVAL);
}
