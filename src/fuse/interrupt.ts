// What to do about a FUSE_INTERRUPT: a pure policy over the caller's signal masks, the kind of operation and the time.
// Any signal, however harmless, makes the kernel send one, and once only for a request: a later fatal signal sends no
// second one, so whoever waits must look at the caller again. The kernel restarts nothing but locks after EINTR, so an
// EINTR that the caller did not need is a bug for it; one that a dying caller does not get is a process in state D.

import { readFileSync } from 'node:fs';
import type { AbortReason } from '../common/abort.ts';

/** auto: by the kind of signal and call, and the time; now: at every signal; fatal: when it kills; off: never. */
export type InterruptMode = 'auto' | 'now' | 'fatal' | 'off';

/** The masks of /proc/<pid>/status; bit n-1 stands for signal n. */
export interface SignalMasks {
  /** Pending for the thread. */
  sigPnd: bigint;
  /** Pending for the process. */
  shdPnd: bigint;
  sigBlk: bigint;
  sigIgn: bigint;
  sigCgt: bigint;
}

export interface InterruptCase {
  mode: InterruptMode;
  /** undefined: the caller cannot be looked at (another pid namespace). */
  masks: SignalMasks | undefined;
  /** Whether the operation may block for ever: SETLKW, or a stream file opened for direct I/O. */
  mayBlock: boolean;
  /** Since the interrupt. */
  elapsedMs: number;
  graceMs: number;
}

/** 'wait': ask again later. 'ignore': nothing that can still happen would change the answer. */
export type InterruptDecision = 'flush-dying' | 'flush' | 'wait' | 'ignore';

/** The reason with which a request's signal is aborted. */
export interface InterruptReason extends AbortReason {
  /** The caller is being killed: it needs its answer soon. Becomes true later too, should a fatal signal follow. */
  dying: boolean;
}

/**
 * Milliseconds that a harmless signal leaves a call which may wait for ever: none that a person notices, and enough for a
 * server to say that there is nothing to read. An empty file cannot be told from a stream, and a program that preempts
 * itself by signals, as Go's do, would fail to read it.
 */
const STREAM_GRACE = 100;

const bit = (signal: number): bigint => 1n << BigInt(signal - 1);

const SIGKILL = bit(9);
/** Signals whose default is to be ignored (CONT, CHLD, URG, WINCH) or to stop (STOP, TSTP, TTIN, TTOU): signal(7). */
const HARMLESS = [18, 17, 23, 28, 19, 20, 21, 22].reduce((mask, signal) => mask | bit(signal), 0n);

/**
 * Whether a signal that is pending will end the caller. The kernel marks a thread that is being killed with SIGKILL in
 * its own pending set, whatever the signal was; not so for signals that dump core, which are found by what is left
 * when the blocked, ignored, caught and harmless ones are taken out.
 */
export function isDying(masks: SignalMasks): boolean {
  if ((masks.sigPnd & SIGKILL) !== 0n) return true;
  const unheeded = masks.sigBlk | masks.sigIgn | masks.sigCgt | HARMLESS;
  return ((masks.sigPnd | masks.shdPnd) & ~unheeded) !== 0n;
}

export function decideInterrupt(at: InterruptCase): InterruptDecision {
  if (at.mode === 'off') return 'ignore';
  if (at.masks !== undefined && isDying(at.masks)) return 'flush-dying';
  if (at.mode === 'now') return 'flush';
  if (at.mode === 'fatal') return at.masks === undefined ? 'ignore' : 'wait';
  return at.elapsedMs >= (at.mayBlock ? Math.min(STREAM_GRACE, at.graceMs) : at.graceMs) ? 'flush' : 'wait';
}

const fields: [key: keyof SignalMasks, label: string][] = [
  ['sigPnd', 'SigPnd'],
  ['shdPnd', 'ShdPnd'],
  ['sigBlk', 'SigBlk'],
  ['sigIgn', 'SigIgn'],
  ['sigCgt', 'SigCgt'],
];

/** From the text of /proc/<pid>/status; undefined when a mask is missing. */
export function parseSignalMasks(status: string): SignalMasks | undefined {
  const masks: Partial<SignalMasks> = {};
  for (const [key, label] of fields) {
    const found = new RegExp(`^${label}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
    if (found === undefined) return undefined;
    masks[key] = BigInt(`0x${found}`);
  }
  return masks as SignalMasks;
}

/**
 * The masks of a thread. `pid` is what the request's header says: a thread's id, under which /proc shows it although it
 * lists processes only. The synchronous read cannot wait for this mount: the status file, unlike cmdline and its like, takes
 * no lock that a caller stuck in a page fault of ours would hold.
 */
export function readSignalMasks(pid: number): SignalMasks | undefined {
  if (pid === 0) return undefined; // the kernel writes 0 for a caller in a pid namespace that does not contain ours
  try {
    return parseSignalMasks(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return undefined; // no such thread in our /proc: another pid namespace, or hidepid
  }
}
