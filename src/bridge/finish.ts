// The caller of a request for what follows a step that had its effect: it is finished, and heeds an abort late
// (common/finishing.ts); and for what is done when the caller no longer waits.

import { Finishing, finish as finishing } from '../common/finishing.ts';
import type { RequestContext } from '../fuse/operations.ts';

type Timed = { readonly flushTimeout: number };

/** Takes an abort for one after flushTimeout. The signal's done() is the caller's to call. */
export function unhurried({ flushTimeout }: Timed, ctx: RequestContext): RequestContext & { signal: Finishing } {
  return withSignal(ctx, new Finishing(ctx.signal, flushTimeout));
}

/** Runs `work` so. ETIMEDOUT where the caller has given it up in the end: it is done, and its result was not told. */
export function finish<T>(
  { flushTimeout }: Timed,
  ctx: RequestContext,
  work: (ctx: RequestContext) => T | Promise<T>,
): Promise<T> {
  return finishing(ctx.signal, flushTimeout, (signal) => work(withSignal(ctx, signal)));
}

/** Nobody aborts it. */
export function withoutSignal(ctx: RequestContext): RequestContext {
  return withSignal(ctx, never);
}

export function withSignal<S extends RequestContext['signal']>(ctx: RequestContext, signal: S) {
  const { unique, uid, gid, pid } = ctx;
  return { unique, uid, gid, pid, signal };
}

const never: RequestContext['signal'] = {
  aborted: false,
  reason: undefined,
  addEventListener: () => {},
  removeEventListener: () => {},
};
