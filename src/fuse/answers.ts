// Turns what a method settled with into the one reply of its request, and undoes what the kernel did not take.
// Guarantees: exactly one reply a request whatever the file system returns or throws, never a hanging caller: a reply
// that the kernel finds malformed is followed by EIO; a late result gives back what it holds.

import { clampErrno, errno, errnoName } from '../common/errno.ts';
import { ConnectionError, ErrnoError, ProtocolError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import { formatReply } from '../wire/fuse/format.ts';
import { opcodeName } from '../wire/fuse/requests.ts';
import { NotImplemented } from './opcodes.ts';
import type { Operations } from './operations.ts';
import type { ReplyTrace, ReplyWriter } from './reply.ts';
import { FuseRequest } from './request.ts';

export class Answers {
  readonly #ops: Operations;
  readonly #out: ReplyWriter;
  readonly #logger: Logger;
  readonly #tracing: boolean;
  readonly stats = { replies: 0, errors: 0, lateReplies: 0 };

  constructor(operations: Operations, out: ReplyWriter, logger: Logger) {
    this.#ops = operations;
    this.#out = out;
    this.#logger = logger;
    this.#tracing = logger.isLevelEnabled('trace');
  }

  /** The request must have been marked as answered, here and in the other methods. */
  success(request: FuseRequest, value: unknown): void {
    const { handler } = request;
    this.#out.begin();
    try {
      handler.reply(this.#out, value, request.args);
    } catch (error) {
      this.discard(request, value);
      this.failure(request, error);
      return;
    }
    const failed = this.#out.send(request.unique, this.#trace(request.unique, request.opcode, 0, request.started));
    if (failed === 0) {
      this.stats.replies++;
      handler.release?.(value);
      return;
    }
    this.#refused(request, failed);
    this.discard(request, value);
  }

  failure(request: FuseRequest, thrown: unknown): void {
    this.error(request.unique, request.opcode, this.#errnoFor(request, thrown), request.started);
  }

  /** `body` has been written into the reply writer since its begin(). 0 or the errno with which the kernel refused it. */
  plain(unique: number, opcode: number): number {
    const failed = this.#out.send(unique, this.#trace(unique, opcode, 0, 0));
    if (failed === 0) this.stats.replies++;
    return failed;
  }

  error(unique: number, opcode: number, number: number, started = 0): void {
    this.stats.errors++;
    const failed = this.#out.sendError(unique, number, this.#trace(unique, opcode, number, started));
    if (failed === 0) this.stats.replies++;
    else if (failed === errno.ENOENT) this.stats.lateReplies++;
    else this.#logger.error({ unique, op: opcodeName(opcode), errno: errnoName(failed) }, 'error reply refused');
  }

  /** A result that nobody will get: lets its payload go, and undoes what the kernel would have had to undo. */
  discard(request: FuseRequest, value: unknown): void {
    const { handler } = request;
    handler.release?.(value);
    if (handler.undo === undefined) return;
    const failed = (error: unknown): void => {
      this.#logger.warn({ err: error, unique: request.unique, op: handler.name }, 'could not undo');
    };
    try {
      // A context of its own: the request's signal may have been aborted, and what gives something back must not be.
      const running = handler.undo(this.#ops, FuseRequest.like(request), value);
      if (running instanceof Promise) running.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** The kernel did not take a successful reply. */
  #refused(request: FuseRequest, failed: number): void {
    const fields = { unique: request.unique, op: request.handler.name, errno: errnoName(failed) };
    if (failed === errno.ENOENT) {
      // The kernel has dropped the request: the connection was aborted, or its mount is gone.
      this.stats.lateReplies++;
      this.#logger.debug(fields, 'reply not wanted any more');
      return;
    }
    this.#logger.error(fields, 'reply refused by the kernel');
    this.error(request.unique, request.opcode, errno.EIO, request.started);
  }

  #errnoFor(request: FuseRequest, thrown: unknown): number {
    if (thrown instanceof ErrnoError) return clampErrno(thrown.errno);
    if (thrown instanceof NotImplemented) return errno.ENOSYS;
    const fields = { err: thrown, unique: request.unique, nodeid: request.nodeid, op: request.handler.name };
    // The connection's end is told once, by whoever lost it, and not again for every request.
    if (thrown instanceof ConnectionError || thrown instanceof ProtocolError) this.#logger.debug(fields, 'failed');
    else this.#logger.error(fields, 'the file system threw');
    return errno.EIO;
  }

  #trace(unique: number, opcode: number, number: number, started: number): ReplyTrace | undefined {
    if (!this.#tracing) return undefined;
    return (head, payload) => {
      const ms = started === 0 ? undefined : Math.round((performance.now() - started) * 1000) / 1000;
      const failed = number === 0 ? undefined : errnoName(number);
      this.#logger.trace({ unique, op: opcodeName(opcode), errno: failed, ms }, formatReply(opcode, head, payload));
    };
  }
}
