// The replies of one connection on their way out: encoded in the session's dialect, and counted until the peer takes them;
// those that lie in no memory which is counted elsewhere are counted as their tenant's.
// Guarantees: a reply never exceeds msize, and never is a part of what was asked for; what cannot be encoded is an error in its
// place; the payload of a read leaves from where it lies.

import { errno } from '../common/errno.ts';
import type { Logger } from '../common/log.ts';
import type { Transport } from '../transport/transport.ts';
import type { Codec } from '../wire/p9/codec.ts';
import type { Answer, Dialect } from './dialects/dialect.ts';
import type { Request } from './flush.ts';
import type { Session } from './session.ts';
import type { Tenant } from './tenants.ts';
import type { ReadResult } from './tree.ts';

/** Bytes of replies that the transport holds before no more requests are begun. */
const WAITING_MAX = 4 * 1024 * 1024;
/** Bytes of replies for which no client has to account: a connection that nobody has attached to may hold no more. */
const FREE = 64 * 1024;
const NOTHING = new Uint8Array(0);

/** What was agreed on, as far as sending needs it. */
export interface Terms {
  readonly dialect: Dialect;
  readonly msize: number;
}

export class Replies {
  readonly #transport: Transport;
  readonly #logger: Logger;
  readonly #tracing: boolean;
  readonly #whenCongested: () => void;
  /** Known before a reply is sent that is not small. */
  tenant: Tenant | undefined;
  #waiting = 0;
  /** Bytes of #waiting that lie in memory of their own. */
  #own = 0;
  /** Bytes of #waiting that are counted as the tenant's. */
  #charged = 0;

  constructor(transport: Transport, logger: Logger, whenCongested: () => void) {
    this.#transport = transport;
    this.#logger = logger;
    this.#tracing = logger.isLevelEnabled('trace');
    this.#whenCongested = whenCongested;
  }

  /** More waits for the peer than should. */
  get congested(): boolean {
    if (this.tenant === undefined) return this.#waiting > FREE;
    return this.#waiting > WAITING_MAX || (this.#charged > 0 && this.tenant.bytes.isShort);
  }

  /** Bytes that the transport has not handed over. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The transport has handed over everything. */
  drained(): void {
    this.#waiting = 0;
    this.#own = 0;
    if (this.#charged === 0) return;
    this.tenant?.bytes.give(this.#charged);
    this.#charged = 0;
  }

  /** The connection has ended. */
  end(): void {
    this.drained();
  }

  /** A reply that does not fit in msize becomes an error: a part of it would be taken for the whole (intro(9P)). */
  send({ dialect, msize }: Terms, tag: number, { name, body }: Answer): void {
    const { codec, refusal } = dialect;
    const refused = (ecode: number): Buffer => {
      const answer = refusal(ecode);
      return codec.encode(answer.name, tag, answer.body).head;
    };
    let head: Buffer;
    try {
      head = codec.encode(name, tag, body).head;
    } catch (error) {
      // a tree answered with what has no place in the message
      this.#logger.error({ tag, error: String(error) }, `${name} cannot be encoded`);
      head = refused(errno.EIO);
    }
    if (head.length > msize) head = refused(errno.EMSGSIZE);
    if (this.#tracing) this.#trace(codec, head);
    this.#sent(this.#transport.send(head), head.length, head.length);
  }

  /** Rread and Rreaddir: the head, then the pieces where they lie, as one frame. */
  sendData(session: Session, request: Request, { data, release }: ReadResult): void {
    const pieces = data instanceof Uint8Array ? [data] : data;
    let count = 0;
    for (const piece of pieces) count += piece.length;
    if (count > session.iounit) {
      release?.();
      this.#logger.error({ op: request.type, tag: request.tag, count }, 'a tree read more than it was asked for');
      this.send(session, request.tag, session.dialect.refusal(errno.EIO));
      return;
    }
    const name = request.traits.reply;
    const { head } = session.dialect.codec.encode(name, request.tag, { data: NOTHING });
    head.writeUInt32LE(head.length + count, 0);
    head.writeUInt32LE(count, head.length - 4);
    if (this.#tracing) {
      this.#logger.trace({ peer: this.#transport.peer }, `-> ${name} tag ${request.tag} data [${count} bytes]`);
    }
    let below: boolean;
    if (pieces.length <= 1) {
      below = this.#transport.send(head, pieces[0], release);
    } else {
      // frames leave in the order of send(), so what is sent in one go stays together
      this.#transport.send(head);
      for (let i = 0; i < pieces.length - 1; i++) this.#transport.send(pieces[i]!);
      below = this.#transport.send(pieces[pieces.length - 1]!, undefined, release);
    }
    this.#sent(below, head.length + count, release === undefined ? head.length + count : head.length);
  }

  #sent(below: boolean, size: number, own: number): void {
    if (below) {
      if (this.#waiting > 0) this.drained();
      return;
    }
    this.#waiting += size;
    this.#own += own;
    const more = this.#own - FREE - this.#charged;
    if (more > 0 && this.tenant !== undefined) {
      this.tenant.bytes.add(more);
      this.#charged += more;
    }
    if (this.congested) this.#whenCongested();
  }

  #trace(codec: Codec, head: Buffer): void {
    this.#logger.trace({ peer: this.#transport.peer }, `-> ${codec.format(codec.decode(head, 0, head.length))}`);
  }
}
