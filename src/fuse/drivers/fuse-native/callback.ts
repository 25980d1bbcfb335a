// The form of one callback of libfuse 2 in the addon's terms: untyped arguments in, a result and what goes beside it out.
// Holds no callback itself; those are in callbacks.ts. What a callback throws is made an errno by whoever runs it.

import type { RequestContext } from '../../operations.ts';
import type { Native } from './binding.ts';

/** What goes back: the result, or a count, and what the addon wants beside it. */
export interface Answer {
  readonly result: number;
  readonly extras: readonly unknown[];
}

export interface Callback {
  run(ctx: RequestContext, native: Native, args: readonly unknown[]): Promise<Answer>;
  /** What the addon wants beside an error. */
  failed(args: readonly unknown[]): readonly unknown[];
}

export const done: Answer = { result: 0, extras: [] };
const nothing = (): readonly unknown[] => [];

// biome-ignore lint/suspicious/noExplicitAny: the addon's arguments, which differ by callback and are what the addon says they are
type Args = any[];

/** A callback whose arguments are of the types that the addon gives it. */
export function on<A extends Args>(
  run: (ctx: RequestContext, native: Native, ...args: A) => Promise<Answer>,
  failed: (...args: A) => readonly unknown[] = nothing,
): Callback {
  return {
    run: (ctx, native, args) => run(ctx, native, ...(args as A)),
    failed: (args) => failed(...(args as A)),
  };
}

/** One that only does something. */
export function does<A extends Args>(run: (ctx: RequestContext, ...args: A) => unknown): Callback {
  return on<A>(async (ctx, _native, ...args) => {
    await run(ctx, ...args);
    return done;
  });
}
