// What the clients of a server have of what there is a bounded amount of. All connections of one client are one tenant: of one
// user of this machine, where the kernel tells, of one address, where it does not, or else each connection.
// Guarantees: one tenant has half of everything at the most, however many connections it makes (stock.ts), and half of
// the memory for payloads; what nobody has needed lately is given back to the system.

import { BufferPool } from '../common/bufpool.ts';
import { errno } from '../common/errno.ts';
import { PoolShare } from '../common/poolshare.ts';
import type { Request } from './flush.ts';
import type { Limits } from './limits.ts';
import { refuse } from './refuse.ts';
import type { MemoryStats } from './stats.ts';
import { type Holding, Stock } from './stock.ts';

/** What tells clients apart: a uid, an address, or a connection. */
export type TenantKey = number | string | object;

/** Of the memory, for payloads; the rest is for small replies, requests that run, and values of extended attributes. */
const PAYLOADS = 3 / 4;
/** Milliseconds after which memory that nobody needed is given back. */
const LATELY = 5000;

export interface Tenant {
  readonly key: TenantKey;
  /** Of its connections, those that have attached. */
  readonly connections: Holding;
  readonly fids: Holding;
  readonly files: Holding;
  /** Of memory beside that for payloads. */
  readonly bytes: Holding;
  /** For payloads. */
  readonly memory: PoolShare;
}

/** What a request costs that is not answered, with all that waits for it. */
const REQUEST_COST = 1024;

/** Takes what a request costs from its tenant's memory until it has ended; false when there is none. */
export function chargeRequest(tenant: Tenant | undefined, request: Pick<Request, 'release'>): boolean {
  if (tenant?.bytes.take(REQUEST_COST) !== true) return false;
  const { release } = request;
  request.release = () => {
    tenant.bytes.give(REQUEST_COST);
    release?.();
  };
  return true;
}

/** Somebody waits for memory, or has more of it than there is left. */
export function isShort({ memory, bytes }: Tenant): boolean {
  return memory.stats.waiting > 0 || bytes.isShort;
}

export class Tenants {
  readonly pool: BufferPool;
  readonly #stocks: { readonly [K in 'connections' | 'fids' | 'files' | 'bytes']: Stock };
  readonly #byKey = new Map<TenantKey, Tenant>();
  #trimming: NodeJS.Timeout | undefined;

  constructor({ connections, fids, files, memory }: Limits) {
    this.pool = new BufferPool(Math.floor(memory * PAYLOADS));
    this.#stocks = {
      connections: new Stock(connections),
      fids: new Stock(fids),
      files: new Stock(files),
      bytes: new Stock(memory - Math.floor(memory * PAYLOADS)),
    };
  }

  get stats(): MemoryStats {
    const { inUse, kept } = this.pool.stats;
    const { bytes } = this.#stocks;
    return { lent: inUse, kept, small: bytes.total - bytes.left };
  }

  get all(): Iterable<Tenant> {
    return this.#byKey.values();
  }

  /** One connection more of a client; EMFILE when it has as many as are left for others. */
  enter(key: TenantKey): Tenant {
    const tenant = this.#byKey.get(key) ?? this.#new(key);
    if (!tenant.connections.take()) refuse(errno.EMFILE);
    this.#byKey.set(key, tenant);
    this.#trimming ??= setInterval(() => this.#trim(), LATELY).unref();
    return tenant;
  }

  /** That connection has let everything go. */
  leave(tenant: Tenant): void {
    tenant.connections.give();
    if (tenant.connections.held === 0) this.#byKey.delete(tenant.key);
  }

  #new(key: TenantKey): Tenant {
    const { connections, fids, files, bytes } = this.#stocks;
    return {
      key,
      connections: connections.holding(),
      fids: fids.holding(),
      files: files.holding(),
      bytes: bytes.holding(),
      memory: new PoolShare(this.pool, Math.floor(this.pool.stats.capacity / 2)),
    };
  }

  /** Goes on until there is nothing to be given back and nobody who could need any. */
  #trim(): void {
    this.pool.trim();
    if (this.#byKey.size > 0 || this.pool.stats.kept > 0) return;
    clearInterval(this.#trimming);
    this.#trimming = undefined;
  }
}
