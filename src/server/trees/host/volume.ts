// What the nodes of one host tree share: the system calls, the identity, and the table by which one inode is one node.
// Guarantees: two descriptors of the same inode become one node with one descriptor; qid.path is the inode number on the
// first device and differs between devices. It is not good for ever: a file system may give the number of a deleted
// file to a new one, though not while a descriptor holds it.

import { errno } from '../../../common/errno.ts';
import { decodeText } from '../../../common/text.ts';
import { GETATTR, QT, V9FS_MAGIC } from '../../../wire/p9/constants.ts';
import type { Qid } from '../../../wire/p9/types.ts';
import { descriptorLimit } from '../../limits.ts';
import type { Attributes, Statfs } from '../../tree.ts';
import { encodeDevice, S } from '../modes.ts';
import { Ring } from './descriptor.ts';
import type { Identity } from './identity.ts';
import type { HostNode } from './node.ts';
import { check, O, STAT, type Syscalls } from './syscalls.ts';
import type { HostTerms } from './terms.ts';

const TWO32 = 2 ** 32;
/** Device numbers stand above these bits of a qid.path. */
const DEVICE_SHIFT = 48n;
/** Nodes whose descriptors may be open, however many files are. */
const FEWEST = 64;
/** Bounds the way up: what lies deeper counts as outside. A path of PATH_MAX has 2048 names at most. */
const DEEPEST = 32768;

/** More than a target may have (PATH_MAX), so that a cut one would show. */
const target = Buffer.allocUnsafeSlow(4097);

interface Device {
  readonly prefix: bigint;
  readonly nodes: Map<number | bigint, HostNode>;
}

/** Which inode stat() spoke of. */
export interface Identification {
  device: Device;
  ino: number | bigint;
}

export class Volume {
  readonly sys: Syscalls;
  readonly identity: Identity;
  readonly terms: HostTerms;
  readonly ring: Ring;
  /** Of the last look(). */
  readonly stat = new Float64Array(STAT.COUNT);
  readonly #devices = new Map<number, Device>();
  #nodes = 0;
  #standing = 0;
  #spare = -1;
  /** Entries that listings have read and not passed on. */
  ahead = 0;
  /** Descriptors that are open for files and locks. */
  #used = 0;

  /** `descriptors`: of nodes; without it the tree has half of what the process may have, for nodes, files and locks together. */
  constructor(sys: Syscalls, identity: Identity, terms: HostTerms, descriptors: number | undefined) {
    this.sys = sys;
    this.identity = identity;
    this.terms = terms;
    const half = Math.floor(descriptorLimit() / 2);
    this.ring = new Ring(() => descriptors ?? Math.max(FEWEST, half - this.#used));
    this.keepSpare();
  }

  /** A descriptor was opened for a file or a lock, or closed. */
  uses(change: 1 | -1): void {
    this.#used += change;
  }

  /** Nodes, each with a descriptor or none; for leak checks. */
  get nodes(): number {
    return this.#nodes;
  }

  get hasEvicted(): boolean {
    return this.ring.size + this.#standing < this.#nodes;
  }

  /** One node more, or fewer, goes by the descriptor of a file that is open on it. */
  stands(change: 1 | -1): void {
    this.#standing += change;
  }

  /** A call that gives a descriptor; when there are no more, some are made free first. */
  opening(call: () => number): number {
    const fd = call();
    if (fd !== -errno.EMFILE && fd !== -errno.ENFILE) return fd;
    return this.ring.squeeze() ? call() : fd;
  }

  /** A call that gives a descriptor in place of one that is closed at once: for it the spare one may be used up. */
  openingLast(call: () => number): number {
    const fd = this.opening(call);
    if (fd !== -errno.EMFILE && fd !== -errno.ENFILE) return fd;
    this.#closeSpare();
    return call();
  }

  /** Keeps one descriptor for openingLast(). */
  keepSpare(): void {
    if (this.#spare < 0) this.#spare = this.sys.root('/');
  }

  #closeSpare(): void {
    if (this.#spare >= 0) this.sys.close(this.#spare);
    this.#spare = -1;
  }

  /** Nothing of the tree is used any more. */
  end(): void {
    this.#closeSpare();
  }

  /** Reads the attributes of a descriptor into `stat`. */
  look(fd: number): void {
    check(this.sys.stat(fd, this.stat));
  }

  /** Those of a descriptor just opened, which is closed when that fails. */
  lookNew(fd: number): void {
    const result = this.sys.stat(fd, this.stat);
    if (result >= 0) return;
    this.sys.close(fd);
    check(result);
  }

  identify(): Identification {
    const { stat } = this;
    const number = stat[STAT.DEV_MAJOR]! * TWO32 + stat[STAT.DEV_MINOR]!;
    let device = this.#devices.get(number);
    if (device === undefined) {
      device = { prefix: BigInt(this.#devices.size) << DEVICE_SHIFT, nodes: new Map() };
      this.#devices.set(number, device);
    }
    return { device, ino: inoOf(stat[STAT.INO_LOW]!, stat[STAT.INO_HIGH]!) };
  }

  /** Whether the way up from a directory, whose descriptor is given, comes by the one of that qid.path. */
  leadsTo(own: number, wanted: bigint): boolean {
    let fd = own;
    let last: bigint | undefined;
    try {
      for (let level = 0; level < DEEPEST; level++) {
        this.look(fd);
        const { device, ino } = this.identify();
        const path = pathOf(device, ino);
        if (path === wanted) return true;
        // what lies above the top of the machine's tree is itself
        if (path === last) return false;
        last = path;
        const above = this.sys.openat(fd, '..', O.PATH | O.DIRECTORY, 0);
        if (fd !== own) this.sys.close(fd);
        fd = above;
        if (fd < 0) return false;
      }
      return false;
    } finally {
      if (fd >= 0 && fd !== own) this.sys.close(fd);
    }
  }

  enter({ device, ino }: Identification, node: HostNode): void {
    device.nodes.set(ino, node);
    this.#nodes++;
  }

  leave({ device, ino }: Identification, node: HostNode): void {
    // a stale node may have been followed by another of the same number
    if (device.nodes.get(ino) === node) device.nodes.delete(ino);
    this.#nodes--;
  }

  /** The attributes in `stat`, of a file whose qid is given. */
  attributes(qid: Qid): Attributes {
    const { stat } = this;
    const born = stat[STAT.BTIME + 1]! >= 0;
    return {
      valid: born ? GETATTR.BASIC | GETATTR.BTIME : GETATTR.BASIC,
      qid,
      mode: stat[STAT.MODE]!,
      nlink: stat[STAT.NLINK]!,
      uid: stat[STAT.UID]!,
      gid: stat[STAT.GID]!,
      rdev: encodeDevice(stat[STAT.RDEV_MAJOR]!, stat[STAT.RDEV_MINOR]!),
      size: stat[STAT.SIZE]!,
      blksize: stat[STAT.BLKSIZE]!,
      blocks: stat[STAT.BLOCKS]!,
      atime: stat[STAT.ATIME]!,
      atimeNsec: stat[STAT.ATIME + 1]!,
      mtime: stat[STAT.MTIME]!,
      mtimeNsec: stat[STAT.MTIME + 1]!,
      ctime: stat[STAT.CTIME]!,
      ctimeNsec: stat[STAT.CTIME + 1]!,
      btime: born ? stat[STAT.BTIME]! : 0,
      btimeNsec: born ? stat[STAT.BTIME + 1]! : 0,
      gen: 0n,
      dataVersion: 0n,
    };
  }

  /** The qid of the file that `stat` shows. */
  qid({ device, ino }: Identification): Qid {
    return { type: qidType(this.stat[STAT.MODE]!), version: this.version(), path: pathOf(device, ino) };
  }

  readlink(fd: number): string {
    return decodeText(target.subarray(0, check(this.sys.readlink(fd, target))));
  }

  statfs(fd: number): Statfs {
    const out = new Float64Array(9);
    check(this.sys.statfs(fd, out));
    const [bsize = 0, blocks = 0, bfree = 0, bavail = 0, files = 0, ffree = 0, low = 0, high = 0, namelen = 0] = out;
    const fsid = (BigInt(high) << 32n) | BigInt(low);
    return { fsType: V9FS_MAGIC, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen };
  }

  /** Moves with every change of content or attributes, since ctime does; never 0. */
  version(): number {
    const { stat } = this;
    let hash = 0;
    for (const field of VERSION_FIELDS) {
      const value = stat[field]!;
      hash = Math.imul(hash ^ (value | 0), 0x9e3779b1);
      hash = Math.imul(hash ^ (hash >>> 15) ^ Math.floor(value / TWO32), 0x85ebca6b);
    }
    return (hash ^ (hash >>> 13)) >>> 0 || 1;
  }
}

const VERSION_FIELDS = [STAT.SIZE, STAT.MTIME, STAT.MTIME + 1, STAT.CTIME, STAT.CTIME + 1];

/** As a number where one holds it. */
function inoOf(low: number, high: number): number | bigint {
  return high < 0x200000 ? high * TWO32 + low : (BigInt(high) << 32n) | BigInt(low);
}

export function pathOf(device: Device, ino: number | bigint): bigint {
  return BigInt(ino) ^ device.prefix;
}

/** QT bits of a file type. */
export function qidType(mode: number): number {
  const type = mode & S.IFMT;
  return type === S.IFDIR ? QT.DIR : type === S.IFLNK ? QT.SYMLINK : QT.FILE;
}
