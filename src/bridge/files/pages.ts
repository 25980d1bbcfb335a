// The kernel's pages of one file: where they are just being filled or written, which is while a READ or WRITE is under way
// here, and how they are dropped so that nobody who takes a lock sees what was read before he had it.
// Guarantees: the kernel is not asked to drop pages that it keeps locked, which would keep it waiting, and with it whoever else
// wants pages dropped, for as long as the server does not answer; whoever does not wait for that gets no older bytes either.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { type Deferred, deferred } from '../../common/deadline.ts';
import { CancelledError } from '../../common/errors.ts';

/** The kernel locks whole pages for a write of any part of them. Where they are larger, dropping may have to wait. */
const PAGE = 4096;
/** Milliseconds that somebody waits who has been interrupted. */
const MOMENT = 10;

interface Range {
  readonly from: number;
  readonly to: number;
}

/** A READ or a WRITE under way. */
export interface PageUse extends Range {
  /** A lock was granted meanwhile, to somebody who has not waited for it: what it has read may be older than the lock. */
  stale: boolean;
  ended: Deferred<void> | undefined;
}

/** Drops what there is in a range; a length of 0 is all that follows. */
export type Invalidate = (offset: number, length: number) => Promise<unknown>;

export class Pages {
  readonly #uses = new Set<PageUse>();

  begin(offset: number, size: number): PageUse {
    const from = offset - (offset % PAGE);
    const use = { from, to: Math.ceil((offset + size) / PAGE) * PAGE, stale: false, ended: undefined };
    this.#uses.add(use);
    return use;
  }

  end(use: PageUse): void {
    this.#uses.delete(use);
    use.ended?.resolve();
  }

  /**
   * All of them, those in use when they no longer are. An abort ends the wait for that; what is in use is stale then, and its
   * user's affair.
   */
  async drop(invalidate: Invalidate, signal: AbortSignalLike): Promise<void> {
    const busy = [...this.#uses];
    // had before anything is waited for: some of them may end meanwhile
    const ended = busy.map((use) => {
      use.ended ??= deferred();
      return use.ended.promise;
    });
    // what the kernel has begun just now and has not told yet may keep one of these waiting
    await soon(all(gaps(busy), invalidate), signal);
    if (busy.length === 0) return;
    try {
      await unlessAborted(Promise.all(ended), signal);
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      for (const use of busy) if (this.#uses.has(use)) use.stale = true;
    }
    const over = busy.filter((use) => !this.#uses.has(use));
    await soon(all(over, invalidate), signal);
  }
}

function all(ranges: readonly Range[], invalidate: Invalidate): Promise<unknown> {
  return Promise.all(ranges.map(({ from, to }) => invalidate(from, to === Number.POSITIVE_INFINITY ? 0 : to - from)));
}

/** What lies between, before and behind. */
function gaps(busy: readonly Range[]): Range[] {
  const free: Range[] = [];
  let at = 0;
  for (const { from, to } of busy.toSorted((a, b) => a.from - b.from)) {
    if (from > at) free.push({ from: at, to: from });
    at = Math.max(at, to);
  }
  return [...free, { from: at, to: Number.POSITIVE_INFINITY }];
}

/** Waits for what gets stuck only behind somebody's read that does; once aborted, for a moment more. */
async function soon(work: Promise<unknown>, signal: AbortSignalLike): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let hurry = () => {};
  const enough = new Promise<void>((resolve) => {
    hurry = () => {
      timer = setTimeout(resolve, MOMENT);
    };
  });
  if (signal.aborted) hurry();
  else signal.addEventListener('abort', hurry, { once: true });
  try {
    await Promise.race([work, enough]);
  } finally {
    signal.removeEventListener('abort', hurry);
    clearTimeout(timer);
  }
}
