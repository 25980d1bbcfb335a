// The descriptors by which nodes hold their inodes, and the bound on how many are open: a client may hold more files than a
// process may have descriptors. A node that is open as a file goes by the descriptor of that and has none of its own. One
// that was not used lately is closed, and opened again when its node is asked next, by the directory and the name that
// last led to it.
// Guarantees: what is opened again is the same inode, or the node is stale (ESTALE); nothing is closed that could not be
// found again at that moment, or that has no name. A name that this server removes or replaces does not make a node stale,
// for its descriptor is opened before. What others on the machine rename or remove may.

import { errno } from '../../../common/errno.ts';
import { refuse } from '../../refuse.ts';
import type { HostNode } from './node.ts';
import { O, STAT } from './syscalls.ts';
import type { Identification, Volume } from './volume.ts';

export class Descriptor {
  readonly id: Identification;
  readonly #volume: Volume;
  /** When the inode was made: a number that a file system gives again is told by it. */
  readonly #born: number;
  readonly #bornNsec: number;
  /** Its own, if it is not negative. */
  #fd = -1;
  /** Of what is open on the node; the first is as good as one of its own. */
  readonly #files: number[] = [];
  #hint: { dir: HostNode; name: string } | undefined;
  /** Reasons to stay open. */
  #holds = 0;
  #finding = false;
  /** Used since the bound was last enforced on it. */
  recent = true;
  /** Its place in the ring. */
  slot = -1;

  /** `volume.stat` is what it looks like. It is to be given a descriptor at once: by adopt(), or by lend(). */
  constructor(volume: Volume) {
    this.#volume = volume;
    this.id = volume.identify();
    this.#born = volume.stat[STAT.BTIME]!;
    this.#bornNsec = volume.stat[STAT.BTIME + 1]!;
  }

  private get isOpen(): boolean {
    return this.#fd >= 0 || this.#files.length > 0;
  }

  /** Opens it when it is not. Overwrites `volume.stat` then. */
  get fd(): number {
    this.recent = true;
    const [file] = this.#files;
    return file ?? (this.#fd >= 0 ? this.#fd : this.#reopen());
  }

  /** The node is open as a file, whose descriptor is as good as its own until takeBack(). */
  lend(file: number): void {
    if (this.#files.push(file) === 1) this.#volume.stands(1);
    if (this.#fd >= 0) this.#drop();
  }

  /** The file is about to be closed. With `stays`, the node goes on being used, and has a descriptor of its own again. */
  takeBack(file: number, stays: boolean): void {
    this.#files.splice(this.#files.indexOf(file), 1);
    if (this.#files.length > 0) return;
    this.#volume.stands(-1);
    if (!stays) return;
    const fd = this.#volume.openingLast(() => this.#volume.sys.reopen(file, O.PATH));
    // where there is none to be had, it is found by its name when it is asked next
    if (fd >= 0) this.adopt(fd);
  }

  #drop(): void {
    this.#volume.sys.close(this.#fd);
    this.#fd = -1;
    this.#volume.ring.remove(this);
  }

  hold(): void {
    this.#holds++;
  }

  unhold(): void {
    this.#holds--;
  }

  /** Where it was found last. */
  foundAt(dir: HostNode, name: string): void {
    const old = this.#hint;
    if (old !== undefined && old.dir === dir && old.name === name) return;
    dir.retain();
    this.#hint = { dir, name };
    old?.dir.release();
  }

  #lost(): void {
    const old = this.#hint;
    this.#hint = undefined;
    old?.dir.release();
  }

  /** Whether `volume.stat`, which shows the same number, is of this inode: while it is open no other can have the number. */
  isOrWas(): boolean {
    return this.isOpen || this.#matches();
  }

  #matches(): boolean {
    const { device, ino } = this.#volume.identify();
    const { stat } = this.#volume;
    return (
      device === this.id.device &&
      ino === this.id.ino &&
      stat[STAT.BTIME] === this.#born &&
      stat[STAT.BTIME + 1] === this.#bornNsec
    );
  }

  /** Takes over another descriptor of the same inode. */
  adopt(fd: number): void {
    if (this.isOpen) {
      this.#volume.sys.close(fd);
      return;
    }
    this.#fd = fd;
    this.#volume.ring.add(this);
  }

  /** A call with the directory and the name of the hint; ESTALE when there is none. */
  #byHint(call: (dir: number, name: string) => number): number {
    const hint = this.#hint;
    // directories that others have moved into each other would send us round and round
    if (hint === undefined || this.#finding) return -errno.ESTALE;
    let result: number;
    this.#finding = true;
    try {
      result = call(hint.dir.fd, hint.name);
    } catch {
      return -errno.ESTALE; // its directory is stale itself
    } finally {
      this.#finding = false;
    }
    return result === -errno.ENOENT || result === -errno.ENOTDIR ? -errno.ESTALE : result;
  }

  /** A new descriptor of this inode, or a negative errno. */
  #find(): number {
    const { sys, stat } = this.#volume;
    const fd = this.#byHint((dir, name) => sys.openat(dir, name, O.PATH, 0));
    if (fd < 0 || (sys.stat(fd, stat) === 0 && this.#matches())) return fd;
    sys.close(fd);
    return -errno.ESTALE;
  }

  #reopen(): number {
    this.#volume.ring.trim();
    const fd = this.#volume.opening(() => this.#find());
    if (fd < 0) refuse(-fd);
    // what was closed to make room may have asked for this one on the way, and opened it
    this.adopt(fd);
    return this.#fd;
  }

  /** Closes it if it can be found again; tells whether it did. */
  evict(): boolean {
    if (this.#holds > 0 || this.#hint === undefined) return false;
    const { sys, stat } = this.#volume;
    const there = this.#byHint((dir, name) => sys.statat(dir, name, stat));
    if (there < 0 || !this.#matches()) {
      if (there === 0 || there === -errno.ESTALE) this.#lost();
      return false;
    }
    this.#drop();
    return true;
  }

  /** The node is gone. */
  close(): void {
    if (this.#fd >= 0) this.#drop();
    this.#lost();
  }
}

/** How many places one call looks at: those that cannot be closed must not cost a whole turn each time. */
const LOOKS = 64;

/** The open descriptors, in the order of a clock whose hand passes by what was used since its last turn. */
export class Ring {
  readonly #limit: () => number;
  readonly #open: Descriptor[] = [];
  #hand = 0;
  #busy = false;

  /** `limit`: how many there may be now, if that is more than a few. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#open.length;
  }

  add(descriptor: Descriptor): void {
    descriptor.slot = this.#open.length;
    descriptor.recent = true;
    this.#open.push(descriptor);
  }

  remove(descriptor: Descriptor): void {
    const last = this.#open.pop();
    if (last === undefined || last === descriptor) return;
    this.#open[descriptor.slot] = last;
    last.slot = descriptor.slot;
  }

  /** To be called before one more is opened. */
  trim(): void {
    const limit = this.#limit();
    if (this.#open.length >= limit) this.#sweep(() => this.#open.length < limit);
  }

  /** Closes a few, whatever the bound; false when it closed none. */
  squeeze(): boolean {
    const before = this.#open.length;
    this.#sweep(() => this.#open.length <= before - LOOKS / 4);
    return this.#open.length < before;
  }

  #sweep(enough: () => boolean): void {
    // looking for one again may open its directory, which comes back here
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let looks = 0; looks < LOOKS && !enough() && this.#open.length > 0; looks++) {
        this.#hand = (this.#hand + 1) % this.#open.length;
        const each = this.#open[this.#hand]!;
        if (each.recent) each.recent = false;
        else each.evict();
      }
    } finally {
      this.#busy = false;
    }
  }
}
