// One file of a host directory: a descriptor, which stands for the inode whatever becomes of its names: one that can do
// nothing else (O_PATH), or that of the file while it is open.
// Guarantees: every operation goes from this descriptor, or from it and one name, so that nothing above is resolved again and
// no symbolic link is followed; `..` leads no higher than the root, and nowhere from a directory that was moved out of it.
// How many descriptors are open at a time is bounded (descriptor.ts).

import { errno } from '../../../common/errno.ts';
import { isErrno } from '../../../common/errors.ts';
import { OPEN, QT } from '../../../wire/p9/constants.ts';
import type { Qid } from '../../../wire/p9/types.ts';
import { refuse } from '../../refuse.ts';
import type { Attributes, Changes, OpenFile, Statfs, TreeNode, User } from '../../tree.ts';
import { MAY, permits, S } from '../modes.ts';
import { change } from './change.ts';
import { Descriptor } from './descriptor.ts';
import { HostFile } from './file.ts';
import { HostLocks } from './locks.ts';
import { check, O, STAT } from './syscalls.ts';
import { permissions } from './terms.ts';
import { pathOf, type Volume } from './volume.ts';
import { getxattr, listxattr, removexattr, setxattr } from './xattrs.ts';

/** What a client may ask of open(2) here. The rest is a matter of its own machine; O_DIRECTORY is checked, not passed on. */
const OPEN_FLAGS = OPEN.ACCMODE | OPEN.TRUNC | OPEN.APPEND | OPEN.DSYNC | OPEN.SYNC | OPEN.NOATIME;
const AT_REMOVEDIR = 0x200;
/** Somebody who makes and removes a name in turns must not hold the server up. */
const CREATE_TRIES = 64;

export class HostNode implements TreeNode {
  readonly volume: Volume;
  readonly qid: Qid;
  readonly #root: HostNode;
  readonly #descriptor: Descriptor;
  #refs = 1;
  #locks: HostLocks | undefined;

  /** `volume.stat` is what it looks like; its descriptor is to be given a real one at once. */
  private constructor(volume: Volume, root: HostNode | undefined) {
    this.volume = volume;
    this.#root = root ?? this;
    this.#descriptor = new Descriptor(volume);
    const { id } = this.#descriptor;
    this.qid = volume.qid(id);
    volume.enter(id, this);
  }

  /** Takes the descriptor over. */
  static root(volume: Volume, fd: number): HostNode {
    volume.look(fd);
    const root = new HostNode(volume, undefined);
    root.#descriptor.adopt(fd);
    root.hold();
    return root;
  }

  get isRoot(): boolean {
    return this === this.#root;
  }

  /** To be read before a call is made as somebody else: it may have to be opened first. */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** The descriptor stays open until unhold(): what is open lives without a name. */
  hold(): void {
    this.retain();
    this.#descriptor.hold();
  }

  unhold(): void {
    this.#descriptor.unhold();
    this.release();
  }

  /** It is open as a file, with that descriptor, and has one reference more. */
  opened(file: number): void {
    this.retain();
    this.#descriptor.lend(file);
  }

  /** That file is about to be closed; the reference is given back after it. */
  closing(file: number): void {
    this.#descriptor.takeBack(file, this.#refs > 1);
  }

  get locks(): HostLocks {
    this.#locks ??= new HostLocks(this.volume, this);
    return this.#locks;
  }

  dropLocks(file: HostFile): void {
    this.#locks?.drop(file);
  }

  /** The prefix of qid.path on this file's device. */
  pathOfSibling(ino: bigint): bigint {
    return pathOf(this.#descriptor.id.device, ino);
  }

  retain(): void {
    this.#refs++;
  }

  release(): void {
    if (--this.#refs > 0) return;
    this.volume.leave(this.#descriptor.id, this);
    this.#descriptor.close();
  }

  /**
   * The node of an O_PATH descriptor, which was found as `name` in this directory, with a reference. The descriptor is
   * taken over, or closed.
   */
  #nodeOf(fd: number, name: string | undefined): HostNode {
    const { volume } = this;
    check(fd);
    volume.ring.trim();
    volume.lookNew(fd);
    const node = this.#nodeSeen();
    node.#descriptor.adopt(fd);
    if (name !== undefined) node.#descriptor.foundAt(this, name);
    return node;
  }

  /** The node of what `volume.stat` shows, with a reference; a new one has no descriptor yet. */
  #nodeSeen(): HostNode {
    const { volume } = this;
    const { device, ino } = volume.identify();
    const known = device.nodes.get(ino);
    if (known === undefined || !known.#descriptor.isOrWas()) return new HostNode(volume, this.#root);
    known.#refs++;
    known.qid.version = volume.version();
    return known;
  }

  /** The known node to which the name leads, its descriptor open and held; the caller unholds it. */
  #heldAt(name: string): HostNode | undefined {
    const { volume } = this;
    const fd = this.#opening(() => volume.sys.openat(this.fd, name, O.PATH, 0));
    if (fd < 0) return undefined;
    volume.look(fd);
    const { device, ino } = volume.identify();
    const known = device.nodes.get(ino);
    if (known === undefined || !known.#descriptor.isOrWas()) {
      volume.sys.close(fd);
      return undefined;
    }
    known.#descriptor.adopt(fd);
    known.hold();
    return known;
  }

  /** A call that gives a descriptor; this node's own stays open when room must be made for it. */
  #opening(call: () => number): number {
    this.#descriptor.hold();
    try {
      return this.volume.opening(call);
    } finally {
      this.#descriptor.unhold();
    }
  }

  #look(): void {
    this.volume.look(this.fd);
    this.qid.version = this.volume.version();
  }

  /** A system call as `user`. */
  #as(user: User, call: () => number, gid?: number): number {
    return check(this.volume.identity.as(user, call, gid));
  }

  #mayChange(): void {
    if (this.volume.terms.readOnly) refuse(errno.EROFS);
  }

  /** For what is made in this directory; one with the setgid bit gives its own group, whoever asks (inode(7)). */
  #groupOfNew(user: User, wanted: number): number {
    const { identity, stat } = this.volume;
    const group = identity.groupOfNew(user, wanted);
    if (group !== undefined) return group;
    this.#look();
    return stat[STAT.MODE]! & S.ISGID ? user.gid : refuse(errno.EPERM);
  }

  walk(name: string, user: User): HostNode {
    if (name === '..') return this.#up(user);
    const { fd, volume } = this;
    return this.#nodeOf(
      this.#opening(() => volume.identity.as(user, () => volume.sys.openat(fd, name, O.PATH, 0))),
      name,
    );
  }

  #up(user: User): HostNode {
    if (this.isRoot) {
      this.#refs++;
      return this;
    }
    const { fd, volume } = this;
    const above = this.#as(user, () => volume.sys.openat(fd, '..', O.PATH | O.DIRECTORY, 0));
    const parent = this.#nodeOf(above, undefined);
    if (volume.leadsTo(parent.fd, this.#root.qid.path)) return parent;
    parent.release();
    return refuse(errno.ENOENT);
  }

  getattr(): Attributes {
    this.#look();
    return this.volume.attributes(this.qid);
  }

  setattr(changes: Changes, file: OpenFile | undefined, user: User): void {
    this.#mayChange();
    change(this, changes, file instanceof HostFile ? file : undefined, user);
    this.#look();
  }

  readlink(): string {
    if (!(this.qid.type & QT.SYMLINK)) refuse(errno.EINVAL);
    return this.volume.readlink(this.fd);
  }

  statfs(): Statfs {
    return this.volume.statfs(this.fd);
  }

  open(flags: number, user: User): HostFile {
    const executes = (flags & OPEN.ACCMODE) === OPEN.ACCMODE;
    const writes = (!executes && (flags & OPEN.ACCMODE) !== OPEN.RDONLY) || (flags & OPEN.TRUNC) !== 0;
    if (writes) this.#mayChange();
    this.#look();
    const type = this.volume.stat[STAT.MODE]! & S.IFMT;
    if (type === S.IFLNK) refuse(errno.ELOOP);
    if (type === S.IFDIR && writes) refuse(errno.EISDIR);
    if (type !== S.IFDIR && flags & OPEN.DIRECTORY) refuse(errno.ENOTDIR);
    // what a device or a FIFO does is the business of the client's kernel, and opening one here could block the server
    if (type !== S.IFREG && type !== S.IFDIR) refuse(errno.ENXIO);
    const { fd, volume } = this;
    // the kernel opens nothing to be executed: whoever wants that has to have both rights
    if (executes && !permits(user, this.volume.attributes(this.qid), MAY.EXEC)) refuse(errno.EACCES);
    const how = (executes ? flags & OPEN_FLAGS & ~OPEN.ACCMODE : flags & OPEN_FLAGS) | OPEN.NONBLOCK;
    const file = check(this.#opening(() => volume.identity.as(user, () => volume.sys.reopen(fd, how))));
    if (flags & OPEN.TRUNC) this.#look();
    return new HostFile(this, file, user);
  }

  create(name: string, flags: number, mode: number, gid: number, user: User): { node: HostNode; file: HostFile } {
    const { fd: dir, volume } = this;
    const { sys } = volume;
    if (volume.terms.readOnly) {
      if (this.#exists(name, user)) return this.#openExisting(name, flags, user);
      refuse(errno.EROFS);
    }
    const making = (flags & OPEN_FLAGS) | OPEN.NONBLOCK | OPEN.CREATE | OPEN.EXCL;
    const group = this.#groupOfNew(user, gid);
    const bits = permissions(volume.terms, mode, false);
    const make = () => volume.identity.as(user, () => sys.openat(dir, name, making, bits), group);
    let fd = this.#opening(make);
    for (let tries = 0; fd === -errno.EEXIST && !(flags & OPEN.EXCL); tries++) {
      try {
        return this.#openExisting(name, flags, user);
      } catch (error) {
        // removed by somebody else since: then it is to be made after all
        if (tries >= CREATE_TRIES || !isErrno(error, errno.ENOENT)) throw error;
      }
      fd = this.#opening(make);
    }
    check(fd);
    try {
      volume.lookNew(fd);
    } catch (error) {
      volume.identity.as(user, () => sys.unlinkat(dir, name, 0));
      throw error;
    }
    const node = this.#nodeSeen();
    const file = new HostFile(node, fd, user);
    node.#descriptor.foundAt(this, name);
    return { node, file };
  }

  #exists(name: string, user: User): boolean {
    const { fd, volume } = this;
    return volume.identity.as(user, () => volume.sys.statat(fd, name, volume.stat)) >= 0;
  }

  #openExisting(name: string, flags: number, user: User): { node: HostNode; file: HostFile } {
    if (flags & OPEN.EXCL) refuse(errno.EEXIST);
    const node = this.walk(name, user);
    try {
      if (node.qid.type & QT.DIR) refuse(errno.EISDIR);
      return { node, file: node.open(flags, user) };
    } catch (error) {
      node.release();
      throw error;
    }
  }

  /** The qid of an entry that was just made; asked for without a descriptor, of which there may be none left. */
  #made(name: string): Qid {
    const { fd, volume } = this;
    check(volume.sys.statat(fd, name, volume.stat));
    return volume.qid(volume.identify());
  }

  mkdir(name: string, mode: number, gid: number, user: User): Qid {
    this.#mayChange();
    const { fd } = this;
    const group = this.#groupOfNew(user, gid);
    this.#as(user, () => this.volume.sys.mkdirat(fd, name, permissions(this.volume.terms, mode, true)), group);
    return this.#made(name);
  }

  symlink(name: string, target: string, gid: number, user: User): Qid {
    this.#mayChange();
    const { fd } = this;
    const group = this.#groupOfNew(user, gid);
    this.#as(user, () => this.volume.sys.symlinkat(target, fd, name), group);
    return this.#made(name);
  }

  mknod(name: string, mode: number, device: { major: number; minor: number }, gid: number, user: User): Qid {
    this.#mayChange();
    const type = mode & S.IFMT || S.IFREG;
    if (type === S.IFDIR || type === S.IFLNK) refuse(errno.EINVAL);
    if ((type === S.IFCHR || type === S.IFBLK) && this.volume.terms.nodev) refuse(errno.EPERM);
    const { major, minor } = device;
    const { fd } = this;
    const group = this.#groupOfNew(user, gid);
    const bits = type | permissions(this.volume.terms, mode, false);
    this.#as(user, () => this.volume.sys.mknodat(fd, name, bits, major, minor), group);
    return this.#made(name);
  }

  link(target: TreeNode, name: string, user: User): void {
    this.#mayChange();
    this.#with(hostNode(target), (fd, other) => this.#as(user, () => this.volume.sys.linkat(other, fd, name)));
  }

  unlink(name: string, directory: boolean, user: User): void {
    this.#mayChange();
    // a node without an open descriptor could not be found again by a name that is gone
    const losing = this.volume.hasEvicted ? this.#heldAt(name) : undefined;
    try {
      const { fd } = this;
      this.#as(user, () => this.volume.sys.unlinkat(fd, name, directory ? AT_REMOVEDIR : 0));
    } finally {
      losing?.unhold();
    }
  }

  rename(name: string, to: TreeNode, newName: string, user: User): void {
    this.#mayChange();
    const dir = hostNode(to);
    const moving = this.#heldAt(name);
    const losing = this.volume.hasEvicted ? dir.#heldAt(newName) : undefined;
    try {
      this.#with(dir, (fd, other) => this.#as(user, () => this.volume.sys.renameat(fd, name, other, newName)));
      if (moving !== undefined) moving.#descriptor.foundAt(dir, newName);
    } finally {
      moving?.unhold();
      losing?.unhold();
    }
  }

  /** Calls `use` with the descriptors of both: opening the second must not close the first. */
  #with(other: HostNode, use: (fd: number, otherFd: number) => void): void {
    this.hold();
    try {
      use(this.fd, other.fd);
    } finally {
      this.unhold();
    }
  }

  getxattr(name: string, user: User): Uint8Array {
    return getxattr(this.volume, this.fd, name, user);
  }

  listxattr(user: User): Uint8Array {
    return listxattr(this.volume, this.fd, user);
  }

  setxattr(name: string, value: Uint8Array, flags: number, user: User): void {
    this.#mayChange();
    setxattr(this.volume, this.fd, name, value, flags, user);
    this.#look();
  }

  removexattr(name: string, user: User): void {
    this.#mayChange();
    removexattr(this.volume, this.fd, name, user);
    this.#look();
  }
}

function hostNode(node: TreeNode): HostNode {
  return node instanceof HostNode ? node : refuse(errno.EXDEV);
}
