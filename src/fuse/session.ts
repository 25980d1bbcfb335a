// Serves one mount: reads requests from the device, hands them to the file system, and answers each exactly once.
// Guarantees: no ENOSYS by accident; a method that returns a plain value is answered in the same tick; the device is
// read on whatever is pending, so that INTERRUPT and FORGET always come through; when the mount ends, however it does,
// what is in flight is aborted, waited for within a bound, and the file system's destroy() is called once.
// Owns the descriptor. Must not touch the mount: whoever does so on this thread waits for himself.

import { closeSync } from 'node:fs';
import type { NodeId } from '../common/brand.ts';
import { Cursor } from '../common/cursor.ts';
import { deferred } from '../common/deadline.ts';
import { errno, errnoName } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import { IN_HEADER, MAJOR, MIN_READ_BUFFER, PAGE } from '../wire/fuse/constants.ts';
import { formatRequest } from '../wire/fuse/format.ts';
import { initOut } from '../wire/fuse/replies.ts';
import { opcodeName, type RequestHeader, readHeader, readInit } from '../wire/fuse/requests.ts';
import { Answers } from './answers.ts';
import { handlers, rowOf } from './dispatch.ts';
import { type Addon, addon, type PollHandle } from './drivers/addon.ts';
import { InFlight } from './inflight.ts';
import { defaults, type FuseSettings, type Negotiated, negotiate, ourMajor } from './init.ts';
import type { InterruptMode } from './interrupt.ts';
import { Interrupts } from './interrupts.ts';
import { Notifier, threadWrite } from './notify.ts';
import type { OpcodeRow, Refusal } from './opcodes.ts';
import type { Operations } from './operations.ts';
import { ReplyWriter } from './reply.ts';
import { FuseRequest } from './request.ts';
import { Slabs } from './slabs.ts';

/** Requests read in one go before the event loop gets its turn: sockets must be served for their answers to come. */
const BATCH = 64;
/** WRITE data up to this is copied out of the read buffer, so that the buffer is free at once. */
const COPIED = 32 * 1024;
/** So many refused opcodes are remembered at most; the kernel has fewer. */
const REFUSED = 256;
/** Room for the largest extended attribute (64 KiB) with its names, however small maxWrite is. */
const LEAST_SLAB = 128 * 1024;

export interface SessionOptions {
  /** An open /dev/fuse that is, or is about to be, mounted. */
  fd: number;
  operations: Operations;
  settings?: Partial<FuseSettings>;
  logger?: Logger;
  /** What a signal to a caller does (interrupt.ts); 'auto' by default. */
  intr?: InterruptMode;
  /** Milliseconds that a harmless signal is waited out; 1000 by default. */
  intrgrace?: number;
  /** Milliseconds that the end waits for what is in flight; 2000 by default. */
  drainMs?: number;
  /** The device's system calls; for tests. */
  device?: Pick<Addon, 'poll' | 'read' | 'write' | 'writev'>;
}

/** How a session ended. */
export type SessionEnd =
  | { how: 'unmounted' | 'aborted' | 'stopped'; error?: undefined }
  | { how: 'failed'; error: Error };

export interface SessionStats {
  /** Read and not answered yet. */
  inFlight: number;
  requests: number;
  replies: number;
  /** Error replies among them. */
  errors: number;
  interrupts: number;
  /** Lookups taken back by FORGET and BATCH_FORGET. */
  forgotten: number;
  /** Replies that the kernel no longer wanted, and results that came after the request had been answered. */
  lateReplies: number;
  /** Read buffers that large writes hold. */
  slabsLent: number;
}

type State = 'new' | 'starting' | 'running' | 'stopping' | 'ended' | 'closed';

/** From a state, those that may follow. */
const next: Record<State, readonly State[]> = {
  new: ['starting'],
  starting: ['running', 'stopping', 'ended'],
  running: ['stopping', 'ended'],
  stopping: ['ended'],
  ended: ['closed'],
  closed: [],
};

export class FuseSession {
  readonly #fd: number;
  readonly #ops: Operations;
  readonly #settings: FuseSettings;
  readonly #logger: Logger;
  readonly #drainMs: number;
  readonly #device: Pick<Addon, 'poll' | 'read' | 'write' | 'writev'>;
  readonly #out: ReplyWriter;
  readonly #tracing: boolean;
  readonly #slabs: Slabs;
  readonly #interrupts: Interrupts;
  readonly #cursor = new Cursor(Buffer.alloc(0));
  readonly #inFlight: InFlight;
  readonly #answers: Answers;
  readonly #stats = { requests: 0, interrupts: 0, forgotten: 0 };
  /** Opcodes whose refusal has been logged. */
  readonly #refused = new Set<number>();
  readonly #ready = deferred<Negotiated>();
  readonly #done = deferred<SessionEnd>();
  #state: State = 'new';
  #poll: PollHandle | undefined;
  /** INVAL_INODE and the like. */
  readonly notifier: Notifier;

  constructor(options: SessionOptions) {
    this.#fd = options.fd;
    this.#ops = options.operations;
    this.#settings = { ...defaults, ...options.settings };
    // Locks that the file system cannot keep are better kept by the kernel alone.
    if (this.#ops.getlk === undefined || this.#ops.setlk === undefined) this.#settings.posixLocks = false;
    this.#logger = options.logger ?? silent;
    this.#drainMs = options.drainMs ?? 2000;
    this.#device = options.device ?? addon();
    this.#out = new ReplyWriter(this.#device, this.#fd);
    this.#answers = new Answers(this.#ops, this.#out, this.#logger);
    this.#tracing = this.#logger.isLevelEnabled('trace');
    this.#slabs = new Slabs(Math.max(MIN_READ_BUFFER, LEAST_SLAB, this.#settings.maxWrite + PAGE));
    this.#inFlight = new InFlight(this.#slabs);
    this.#interrupts = new Interrupts({
      mode: options.intr ?? 'auto',
      graceMs: options.intrgrace ?? 1000,
      operations: this.#ops,
      logger: this.#logger,
    });
    this.notifier = new Notifier(threadWrite(this.#fd));
    this.#ready.promise.catch(() => {}); // `done` tells it too; nobody has to look at both
  }

  /** What was agreed with the kernel; rejects when the mount ended before it said INIT. */
  get ready(): Promise<Negotiated> {
    return this.#ready.promise;
  }

  /** How it ended; never rejects. Settles after destroy(), with the descriptor closed. */
  get done(): Promise<SessionEnd> {
    return this.#done.promise;
  }

  get stats(): SessionStats {
    return { ...this.#stats, ...this.#answers.stats, inFlight: this.#inFlight.size, slabsLent: this.#slabs.lent };
  }

  /** Begins to serve. The device must have been mounted: one that is not yet reports an error to whoever polls it. */
  start(): void {
    this.#to('starting');
    const poll = this.#device.poll(this.#fd, (status) => {
      this.#drain();
      // A dead device ends the session with what read(2) says; were it to say nothing, nobody would call us again.
      if (status < 0) this.#end({ how: 'failed', error: new ErrnoError(-status, 'poll /dev/fuse') });
    });
    if (typeof poll === 'number') this.#end({ how: 'failed', error: new ErrnoError(-poll, 'poll /dev/fuse') });
    else this.#poll = poll;
  }

  /**
   * Ends it from our side: aborts what is in flight, refuses what comes, answers everything within drainMs, closes the
   * device.
   * A mount that still exists afterwards is dead (ENOTCONN); unmount first, or lazily.
   */
  async stop(): Promise<SessionEnd> {
    if (this.#state === 'new') this.#to('starting');
    if (this.#state === 'starting' || this.#state === 'running') {
      this.#to('stopping');
      this.#inFlight.abortAll();
      await this.#inFlight.idle(this.#drainMs);
      this.#inFlight.giveUp(({ unique, opcode, started }) => this.#answers.error(unique, opcode, errno.EIO, started));
      this.#end({ how: 'stopped' });
    }
    return this.done;
  }

  #to(state: State): void {
    if (!next[this.#state].includes(state)) throw new Error(`session: ${this.#state} cannot become ${state}`);
    this.#state = state;
  }

  /** The device is readable, or has died. Level triggered: what is left after a batch brings us back. */
  #drain(): void {
    for (let i = 0; i < BATCH; i++) {
      if (this.#state === 'ended' || this.#state === 'closed') return;
      const slab = this.#slabs.current;
      const count = this.#device.read(this.#fd, slab, 0, slab.length);
      if (count >= 0) {
        this.#receive(slab, count);
        continue;
      }
      switch (-count) {
        // Nothing to read; or the request was taken back, or we were interrupted, between being queued and being read.
        case errno.EAGAIN:
          return;
        case errno.ENOENT:
        case errno.EINTR:
          continue;
        case errno.ENODEV:
          this.#end({ how: 'unmounted' });
          return;
        case errno.ECONNABORTED:
          this.#end({ how: 'aborted' });
          return;
        default:
          this.#end({ how: 'failed', error: new ErrnoError(-count, 'read /dev/fuse') });
          return;
      }
    }
  }

  #receive(slab: Buffer, count: number): void {
    const cursor = this.#cursor;
    const handler = handlers[slab.readUInt32LE(4)];
    // A small payload is decoded from a copy of its own; a larger one may keep the whole buffer, see below.
    const holds = handler?.holds === true;
    const small = holds && count <= IN_HEADER + handler.body.fixed + COPIED;
    cursor.reset(small ? Buffer.from(slab.subarray(0, count)) : slab, 0, count);
    const header = readHeader(cursor);
    if (this.#tracing) this.#traceRequest(slab.subarray(0, count), header);
    if (cursor.fault !== undefined) {
      this.#malformed(header, cursor.fault);
      return;
    }
    if (handler === undefined || (this.#state === 'stopping' && handler.givesBack !== true)) {
      this.#other(rowOf(header.opcode), header, cursor);
      return;
    }
    this.#stats.requests++;
    const args = handler.body.read(cursor);
    if (cursor.fault !== undefined) {
      this.#malformed(header, cursor.fault);
      return;
    }
    const request = new FuseRequest(header, handler, args, this.#tracing ? performance.now() : 0);
    let result: unknown;
    try {
      result = handler.run(this.#ops, request, args);
    } catch (error) {
      this.#rejected(request, error);
      return;
    }
    if (!(result instanceof Promise)) {
      this.#fulfilled(request, result);
      return;
    }
    if (holds && !small) request.slab = this.#slabs.lend();
    this.#inFlight.add(request);
    if (this.#interrupts.overtook(request.unique)) this.#interrupts.arrived(request);
    result.then(
      (value) => this.#fulfilled(request, value),
      (error) => this.#rejected(request, error),
    );
  }

  /** The kernel's layouts are ours, so that this is a mistake of one of the two. */
  #malformed({ unique, opcode: op }: RequestHeader, fault: string): void {
    this.#logger.error({ unique, op }, `malformed request: ${fault}`);
    this.#answers.error(unique, op, errno.EIO);
  }

  /** A message that asks nothing of the file system, or nothing that is still done. */
  #other(row: OpcodeRow, header: RequestHeader, cursor: Cursor): void {
    switch (row.kind) {
      case 'reply':
        return;
      case 'forget':
        row.each(header.nodeid, cursor, this.#forget);
        return;
      case 'interrupt':
        this.#interrupt(row.target(cursor));
        return;
    }
    this.#stats.requests++;
    if (row.kind === 'init' && this.#state === 'starting') this.#init(header, cursor);
    else if (row.kind === 'request' || this.#state === 'stopping') {
      this.#answers.error(header.unique, header.opcode, errno.EIO);
    } else this.#refuse(header, row);
  }

  readonly #forget = (nodeid: number, nlookup: number): void => {
    this.#stats.forgotten += nlookup;
    try {
      this.#ops.forget(nodeid as NodeId, nlookup);
    } catch (error) {
      this.#logger.error({ err: error, nodeid }, 'forget failed');
    }
  };

  #interrupt(target: number): void {
    const request = this.#inFlight.get(target);
    this.#stats.interrupts++;
    if (request === undefined) this.#interrupts.unknown(target);
    else this.#interrupts.arrived(request);
  }

  /** The reason is logged once for each opcode: a program may ask a thousand times a second. */
  #refuse({ unique, opcode }: RequestHeader, refusal: Refusal): void {
    if (this.#refused.size < REFUSED && !this.#refused.has(opcode)) {
      this.#refused.add(opcode);
      const fields = { unique, op: opcodeName(opcode) ?? opcode, errno: errnoName(refusal.errno) };
      this.#logger.debug(fields, `refused: ${refusal.why}`);
    }
    this.#answers.error(unique, opcode, refusal.errno);
  }

  #init(header: RequestHeader, cursor: Cursor): void {
    const kernel = readInit(cursor);
    this.#out.begin();
    if (kernel.major > MAJOR) {
      // A kernel of a later major repeats INIT in the one that it is answered with.
      initOut.write(this.#out.body, ourMajor);
      this.#answers.plain(header.unique, header.opcode);
      return;
    }
    try {
      const { reply, negotiated } = negotiate(kernel, this.#settings);
      initOut.write(this.#out.body, reply);
      const failed = this.#answers.plain(header.unique, header.opcode);
      if (failed !== 0) throw new ErrnoError(failed, 'the kernel refused our INIT');
      this.#to('running');
      this.#logger.debug(
        { minor: negotiated.minor, kernelMinor: negotiated.kernelMinor, flags: [...negotiated.flags].join(' ') },
        'negotiated with the kernel',
      );
      this.#ready.resolve(negotiated);
    } catch (error) {
      this.#answers.error(header.unique, header.opcode, errno.EPROTO);
      this.#end({ how: 'failed', error: error as Error });
    }
  }

  #fulfilled(request: FuseRequest, value: unknown): void {
    if (this.#settle(request)) this.#answers.success(request, value);
    // Once destroy() has been called the file system has let go of everything, so there is nothing left to undo.
    else if (this.#state === 'closed') request.handler.release?.(value);
    else this.#answers.discard(request, value);
  }

  #rejected(request: FuseRequest, thrown: unknown): void {
    if (this.#settle(request)) this.#answers.failure(request, thrown);
  }

  /** The method has settled. False when nobody waits for the answer any more. */
  #settle(request: FuseRequest): boolean {
    const wanted = this.#inFlight.settle(request) && this.#state !== 'ended' && this.#state !== 'closed';
    if (!wanted) this.#answers.stats.lateReplies++;
    return wanted;
  }

  #end(end: SessionEnd): void {
    if (this.#state === 'ended' || this.#state === 'closed') return;
    this.#to('ended');
    this.#interrupts.stop();
    this.#poll?.close();
    this.#ready.reject(end.error ?? new ErrnoError(errno.ENODEV, `${end.how} before the kernel said INIT`));
    this.#logger.debug({ ...this.stats, err: end.error }, `session ${end.how}`);
    this.#inFlight.abortAll();
    void this.#finish(end);
  }

  async #finish(end: SessionEnd): Promise<void> {
    await this.#inFlight.idle(this.#drainMs);
    this.#inFlight.giveUp(() => {}); // nobody is left to be told
    this.#to('closed');
    try {
      await this.#ops.destroy();
    } catch (error) {
      this.#logger.error({ err: error }, 'destroy failed');
    }
    // Closing the device aborts what is left of the connection, and with it a notification that waits for a lock.
    closeSync(this.#fd);
    await this.notifier.close();
    this.#done.resolve(end);
  }

  #traceRequest(bytes: Uint8Array, header: RequestHeader): void {
    this.#logger.trace(
      { unique: header.unique, nodeid: header.nodeid, op: opcodeName(header.opcode) },
      formatRequest(bytes),
    );
  }
}
