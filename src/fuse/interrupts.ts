// Carries out the policy of interrupt.ts over the requests in flight: decides when an INTERRUPT arrives, and looks
// again every 100 ms at those that wait, with one timer for all of them.
// Guarantees: a request's signal is aborted at most once; a caller that starts to die after a harmless interrupt is noticed.

import type { Logger } from '../common/log.ts';
import {
  decideInterrupt,
  type InterruptMode,
  type InterruptReason,
  isDying,
  readSignalMasks,
  type SignalMasks,
} from './interrupt.ts';
import type { Operations } from './operations.ts';
import type { FuseRequest } from './request.ts';

const AGAIN_MS = 100;
/** INTERRUPTs remembered whose request has not been seen. */
const EARLY = 64;

export interface InterruptsOptions {
  mode: InterruptMode;
  graceMs: number;
  operations: Operations;
  logger: Logger;
  /** For tests; the real ones read /proc. */
  masksOf?: (pid: number) => SignalMasks | undefined;
}

export class Interrupts {
  readonly #options: InterruptsOptions;
  readonly #masksOf: (pid: number) => SignalMasks | undefined;
  /** Interrupted and still running: waiting for a decision, or aborted and perhaps dying later. */
  readonly #watched = new Set<FuseRequest>();
  readonly #early = new Set<number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: InterruptsOptions) {
    this.#options = options;
    this.#masksOf = options.masksOf ?? readSignalMasks;
  }

  /** An INTERRUPT for a request in flight. */
  arrived(request: FuseRequest): void {
    if (this.#options.mode === 'off' || request.interruptedAt !== undefined) return;
    request.interruptedAt = performance.now();
    if (this.#act(request)) this.#watch(request);
  }

  /**
   * An INTERRUPT for a request that is not in flight. With a single reader the kernel queues it behind its request, so the
   * request has been answered already and there is nothing to do. It is remembered all the same, a few at most: should it
   * ever overtake, the request is found here, and as no unique is used twice a stale one harms nobody.
   */
  unknown(unique: number): void {
    if (this.#early.size >= EARLY) {
      for (const oldest of this.#early) {
        this.#early.delete(oldest);
        break;
      }
    }
    this.#early.add(unique);
  }

  /** A request goes into flight; whether it was interrupted before it was seen. */
  overtook(unique: number): boolean {
    return this.#early.size > 0 && this.#early.delete(unique);
  }

  stop(): void {
    this.#watched.clear();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Whether to look at it again. */
  #act(request: FuseRequest): boolean {
    const { mode, graceMs, operations, logger } = this.#options;
    const masks = this.#masksOf(request.pid);
    if (request.reason !== undefined) return this.#lookAgain(request.reason, masks);
    const elapsedMs = performance.now() - (request.interruptedAt ?? 0);
    const mayBlock = request.handler.mayBlock?.(operations, request, request.args) ?? false;
    const decision = decideInterrupt({ mode, masks, mayBlock, elapsedMs, graceMs });
    logger.debug(
      { unique: request.unique, nodeid: request.nodeid, op: request.handler.name, pid: request.pid, ms: elapsedMs },
      `interrupt: ${decision}`,
    );
    if (decision === 'ignore') return false;
    if (decision === 'wait') return true;
    const reason: InterruptReason = { dying: decision === 'flush-dying' };
    request.reason = reason;
    request.signal.abort(reason);
    return request.running && !reason.dying && masks !== undefined;
  }

  /** Already aborted: all that can change is that the caller is being killed after all. */
  #lookAgain(reason: InterruptReason, masks: SignalMasks | undefined): boolean {
    if (masks === undefined) return false;
    if (!isDying(masks)) return true;
    reason.dying = true;
    reason.onDying?.();
    return false;
  }

  #watch(request: FuseRequest): void {
    this.#watched.add(request);
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => {
      for (const each of this.#watched) if (!each.running || !this.#act(each)) this.#watched.delete(each);
      if (this.#watched.size === 0) this.stop();
    }, AGAIN_MS);
    // The device's poll handle keeps the process alive; this alone should not.
    this.#timer.unref();
  }
}
