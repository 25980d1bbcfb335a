// How much a connection may have under way, and how long it may wait for answers: the options of Requests, their
// defaults, and their check.

import { ConfigError } from '../common/errors.ts';
import { NOTAG } from '../wire/p9/constants.ts';

export interface RequestOptions {
  /** Tags for ordinary requests: 0 ... tagWindow - 1. */
  tagWindow: number;
  /** Ordinary requests on the wire at once; the rest wait in the queue. Below tagWindow, so that quarantine has room. */
  maxInFlight: number;
  /** Milliseconds that a Tflush may stay unanswered before its request is abandoned or the connection given up. */
  flushTimeout: number;
  /** The same where the caller is being killed and the request has no side effects. */
  dyingTimeout: number;
  /** Milliseconds after which a request is flushed and its caller gets ETIMEDOUT; 0: never. */
  timeout: number;
  /** Tags, and bytes of receive buffers, in quarantine beyond which the connection is given up. */
  maxQuarantine: number;
  maxQuarantineBytes: number;
}

export const defaultRequestOptions: RequestOptions = {
  tagWindow: 1024,
  maxInFlight: 896,
  flushTimeout: 10_000,
  dyingTimeout: 1000,
  timeout: 0,
  maxQuarantine: 64,
  maxQuarantineBytes: 16 * 1024 * 1024,
};

/** Tclunks on the wire at once. */
export const MAX_CLUNKS = 64;

/** Every ordinary tag has one in reserve for its Tflush, and Tclunks have theirs: all of them lie below NOTAG. */
export function checkLimits(options: RequestOptions): RequestOptions {
  const most = Math.floor((NOTAG - MAX_CLUNKS) / 2);
  const { tagWindow, maxInFlight } = options;
  if (!Number.isInteger(tagWindow) || tagWindow < 1 || tagWindow > most) {
    throw new ConfigError(`tagWindow ${tagWindow}: 1 to ${most} tags can be used`);
  }
  if (!Number.isInteger(maxInFlight) || maxInFlight < 1 || maxInFlight > tagWindow) {
    throw new ConfigError(`maxInFlight ${maxInFlight}: 1 to ${tagWindow} requests have a tag`);
  }
  return options;
}
