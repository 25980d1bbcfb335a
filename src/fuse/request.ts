// One request of the kernel, from the moment it was read until it has been answered exactly once.
// It is also the context that the file system is given: who asks, and the signal that says "give up".

import { Abort } from '../common/abort.ts';
import type { NodeId, Unique } from '../common/brand.ts';
import type { RequestHeader } from '../wire/fuse/requests.ts';
import type { InterruptReason } from './interrupt.ts';
import type { AnyHandler, Incoming } from './opcodes.ts';

export class FuseRequest implements Incoming {
  readonly unique: Unique;
  readonly opcode: number;
  readonly nodeid: NodeId;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly signal = new Abort();
  readonly handler: AnyHandler;
  readonly args: unknown;
  /** The buffer that a large WRITE's data lies in, until the write has settled. */
  slab: Buffer | undefined;
  /** performance.now() when it was read; 0 unless it is being traced. */
  readonly started: number;
  /** performance.now() of its INTERRUPT. */
  interruptedAt: number | undefined;
  /** Given to signal.abort() when the interrupt was acted upon. */
  reason: InterruptReason | undefined;
  #state: 'running' | 'answered' = 'running';

  constructor(header: RequestHeader, handler: AnyHandler, args: unknown, started: number) {
    this.unique = header.unique as Unique;
    this.opcode = header.opcode;
    this.nodeid = header.nodeid as NodeId;
    this.uid = header.uid;
    this.gid = header.gid;
    this.pid = header.pid;
    this.handler = handler;
    this.args = args;
    this.started = started;
  }

  /** The same caller and operation, running and not aborted. */
  static like(other: FuseRequest): FuseRequest {
    const { unique, opcode, nodeid, uid, gid, pid } = other;
    const header = { len: 0, extensions: 0, unique, opcode, nodeid, uid, gid, pid };
    return new FuseRequest(header, other.handler, other.args, 0);
  }

  get running(): boolean {
    return this.#state === 'running';
  }

  /** The one transition there is; a second answer would be our bug. */
  answered(): void {
    if (this.#state !== 'running') throw new Error(`request ${this.unique} answered twice`);
    this.#state = 'answered';
  }
}
