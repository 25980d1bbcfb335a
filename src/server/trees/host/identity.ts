// As whom the file system is asked. A server that runs as root takes each user's ids for the length of one synchronous
// system call, so that permissions, ownership and ACLs are the kernel's own answer; any other server is asked as itself,
// whoever the user says to be. Root's other privileges stay (capabilities(7)): disk quotas and the blocks that are reserved for root
// do not stop a user here.
// Guarantees: when as() returns or throws, the thread is the server's again; nothing else runs in between.

import type { User } from '../../tree.ts';
import { groupOfNew } from '../modes.ts';
import { check, type Syscalls } from './syscalls.ts';

/** A user's file system id that owns nothing, to try with. */
const NOBODY = 65534;

export class Identity {
  readonly #sys: Syscalls;
  readonly #switches: boolean;
  readonly #groups = new WeakMap<User, Uint32Array>();

  constructor(sys: Syscalls) {
    this.#sys = sys;
    this.#switches = process.geteuid?.() === 0 && sys.assume(NOBODY, NOBODY, new Uint32Array(0)) === 0;
    if (this.#switches) sys.resume();
  }

  /** Whether `user` has root's privileges over files. */
  isRoot(user: User): boolean {
    return this.#switches ? user.uid === 0 : process.geteuid?.() === 0;
  }

  /** Whether what it is asked is asked as this user. */
  actsAs(user: User): boolean {
    return this.#switches || user.uid === process.geteuid?.();
  }

  /** The group with which the user makes something; undefined where the client names one that is not for this user. */
  groupOfNew(user: User, wanted: number): number | undefined {
    return this.#switches ? groupOfNew(user, wanted) : user.gid;
  }

  /** Whether the kernel takes the server for one that may leave setuid bits on what it writes to. */
  get isPrivileged(): boolean {
    return process.geteuid?.() === 0;
  }

  /** Whether a thread that did not ask as this user would have privileges that the user has not. */
  isBelowServer(user: User): boolean {
    return this.#switches && user.uid !== 0;
  }

  /** Makes a call as `user`, for what it creates with the group `gid`, which is one that groupOfNew() has allowed. */
  as<T>(user: User, call: () => T, gid: number = user.gid): T {
    if (!this.#switches || (user.uid === 0 && gid === 0)) return call();
    let groups = this.#groups.get(user);
    if (groups === undefined) {
      groups = Uint32Array.from(user.groups);
      this.#groups.set(user, groups);
    }
    check(this.#sys.assume(user.uid, gid, groups));
    try {
      return call();
    } finally {
      this.#sys.resume();
    }
  }
}
