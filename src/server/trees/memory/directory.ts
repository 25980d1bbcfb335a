// The entries of directories: looking up, making, linking, removing and renaming, with the checks of Linux's fs/namei.c in
// its order (search permission, existence, write permission, the sticky bit, type, emptiness).
// An entry's number only grows within its directory and is the cookie that resumes a listing behind it. An entry whose file
// is replaced by a rename keeps its number: the name was there all the time.

import { errno } from '../../../common/errno.ts';
import { byteLength } from '../../../common/text.ts';
import { OPEN } from '../../../wire/p9/constants.ts';
import type { Qid } from '../../../wire/p9/types.ts';
import { refuse } from '../../refuse.ts';
import type { OpenFile, User } from '../../tree.ts';
import { encodeDevice, groupOfNew, MAY, owns, S } from '../modes.ts';
import { type Body, Inode, newFile, type Volume } from './inode.ts';

const NAME_MAX = 255;
const ENTRY_COST = 128;
/** Cookies of `.` and `..`; entries follow. */
export const DOT = 1;
export const DOTDOT = 2;

function entryCost(name: string): number {
  return ENTRY_COST + 2 * name.length;
}

export interface Entry {
  node: Inode;
  readonly cookie: number;
}

export interface Directory {
  readonly kind: 'directory';
  readonly entries: Map<string, Entry>;
  /** Undefined for the root, and for what was removed. */
  parent: Inode | undefined;
  subdirectories: number;
  nextCookie: number;
}

function emptyDirectory(parent: Inode | undefined): Directory {
  return { kind: 'directory', entries: new Map(), parent, subdirectories: 0, nextCookie: DOTDOT + 1 };
}

function directoryOf(node: Inode): Directory {
  return node.body.kind === 'directory' ? node.body : refuse(errno.ENOTDIR);
}

function checkLength(name: string): void {
  if (name.length * 3 > NAME_MAX && byteLength(name) > NAME_MAX) refuse(errno.ENAMETOOLONG);
}

/** The entries, for somebody who may search the directory. */
function search(dir: Inode, name: string, user: User): Directory {
  const directory = directoryOf(dir);
  dir.require(user, MAY.EXEC);
  checkLength(name);
  return directory;
}

export function lookup(dir: Inode, name: string, user: User): Inode {
  const directory = search(dir, name, user);
  const node = name === '..' ? (directory.parent ?? dir) : directory.entries.get(name)?.node;
  if (node === undefined) refuse(errno.ENOENT);
  node.retain();
  return node;
}

/** The entries, for somebody who may add `name`, which is not there. */
function roomFor(dir: Inode, name: string, user: User): Directory {
  const directory = search(dir, name, user);
  if (directory.entries.has(name)) refuse(errno.EEXIST);
  checkAlive(dir);
  dir.require(user, MAY.WRITE);
  return directory;
}

/** Nothing comes into a directory that was removed. */
function checkAlive(dir: Inode): void {
  if (dir.nlink === 0) refuse(errno.ENOENT);
}

function enter(dir: Inode, directory: Directory, name: string, node: Inode): void {
  dir.volume.budget.take(entryCost(name));
  directory.entries.set(name, { node, cookie: directory.nextCookie++ });
  adopt(dir, directory, node);
  node.named(1);
  dir.changed();
}

function adopt(dir: Inode, directory: Directory, node: Inode): void {
  if (node.body.kind !== 'directory') return;
  node.body.parent = dir;
  directory.subdirectories++;
}

function leave(dir: Inode, directory: Directory, name: string, node: Inode): void {
  dir.volume.budget.give(entryCost(name));
  directory.entries.delete(name);
  if (node.body.kind === 'directory') directory.subdirectories--;
}

/** A new file in `dir`. With the setgid bit the directory's group is inherited, and by directories the bit too (inode(7)). */
function make(
  dir: Inode,
  directory: Directory,
  name: string,
  mode: number,
  gid: number,
  user: User,
  body: Body,
): Inode {
  const inherits = (dir.mode & S.ISGID) !== 0;
  const group = inherits ? dir.gid : (groupOfNew(user, gid) ?? refuse(errno.EPERM));
  let bits = mode;
  if (inherits && body.kind === 'directory') bits |= S.ISGID;
  const foreign = user.uid !== 0 && !user.groups.includes(group);
  if (foreign && body.kind === 'file' && mode & S.IXGRP) bits &= ~S.ISGID;
  const node = new Inode(dir.volume, bits, user.uid, group, body);
  try {
    enter(dir, directory, name, node);
  } catch (error) {
    node.release();
    throw error;
  }
  return node;
}

/** The new file's qid, when nobody wants the file itself yet. */
function qidOf(node: Inode): Qid {
  node.release();
  return node.qid;
}

export function create(
  dir: Inode,
  name: string,
  flags: number,
  mode: number,
  gid: number,
  user: User,
): { node: Inode; file: OpenFile } {
  const existing = search(dir, name, user).entries.get(name)?.node;
  if (existing !== undefined) {
    if (flags & OPEN.EXCL) refuse(errno.EEXIST);
    if (existing.body.kind === 'directory') refuse(errno.EISDIR);
    const file = existing.open(flags, user);
    existing.retain();
    return { node: existing, file };
  }
  const directory = roomFor(dir, name, user);
  const node = make(dir, directory, name, S.IFREG | (mode & 0o7777), gid, user, newFile(dir.volume));
  // whoever makes a file may use it as was asked, whatever its mode (open(2))
  return { node, file: openNew(node, flags, user) };
}

function openNew(node: Inode, flags: number, user: User): OpenFile {
  const { mode } = node;
  node.mode |= 0o600;
  try {
    return node.open(flags & ~OPEN.TRUNC, user);
  } finally {
    node.mode = mode;
  }
}

export function mkdir(dir: Inode, name: string, mode: number, gid: number, user: User): Qid {
  const directory = roomFor(dir, name, user);
  return qidOf(make(dir, directory, name, S.IFDIR | (mode & 0o1777), gid, user, emptyDirectory(dir)));
}

export function symlink(dir: Inode, name: string, target: string, gid: number, user: User): Qid {
  const directory = roomFor(dir, name, user);
  return qidOf(make(dir, directory, name, S.IFLNK | 0o777, gid, user, { kind: 'symlink', target }));
}

export function mknod(
  dir: Inode,
  name: string,
  mode: number,
  { major, minor }: { major: number; minor: number },
  gid: number,
  user: User,
): Qid {
  const directory = roomFor(dir, name, user);
  const type = mode & S.IFMT || S.IFREG;
  const device = type === S.IFCHR || type === S.IFBLK;
  if (!device && type !== S.IFIFO && type !== S.IFSOCK && type !== S.IFREG) refuse(errno.EINVAL);
  if (device && user.uid !== 0) refuse(errno.EPERM);
  const rdev = device ? encodeDevice(major, minor) : 0;
  const body: Body = type === S.IFREG ? newFile(dir.volume) : { kind: 'special', rdev };
  return qidOf(make(dir, directory, name, type | (mode & 0o7777), gid, user, body));
}

export function link(dir: Inode, target: Inode, name: string, user: User): void {
  const directory = roomFor(dir, name, user);
  if (target.body.kind === 'directory') refuse(errno.EPERM);
  if (target.nlink === 0) refuse(errno.ENOENT);
  enter(dir, directory, name, target);
}

/** In a sticky directory only the owner of the file or of the directory removes a name. */
function checkRemovable(dir: Inode, node: Inode, user: User): void {
  dir.require(user, MAY.WRITE | MAY.EXEC);
  if (dir.mode & S.ISVTX && !owns(user, dir) && !owns(user, node)) refuse(errno.EPERM);
}

export function unlink(dir: Inode, name: string, isDirectory: boolean, user: User): void {
  const directory = search(dir, name, user);
  const node = directory.entries.get(name)?.node;
  if (node === undefined) refuse(errno.ENOENT);
  checkRemovable(dir, node, user);
  checkReplaceable(node, isDirectory);
  leave(dir, directory, name, node);
  dir.changed();
  bury(node);
}

/** A directory gives way to a directory only, and only when it is empty. */
function checkReplaceable(node: Inode, byDirectory: boolean): void {
  if (node.body.kind !== 'directory') {
    if (byDirectory) refuse(errno.ENOTDIR);
    return;
  }
  if (!byDirectory) refuse(errno.EISDIR);
  if (node.body.entries.size > 0) refuse(errno.ENOTEMPTY);
}

/** `node` has lost a name. */
function bury(node: Inode): void {
  if (node.body.kind === 'directory') node.body.parent = undefined;
  node.named(-1);
}

export function rename(dir: Inode, name: string, newDir: Inode, newName: string, user: User): void {
  const from = search(dir, name, user);
  const to = search(newDir, newName, user);
  const entry = from.entries.get(name);
  if (entry === undefined) refuse(errno.ENOENT);
  const { node } = entry;
  if (isWithin(newDir, node)) refuse(errno.EINVAL);
  const target = to.entries.get(newName);
  if (target !== undefined && isWithin(dir, target.node)) refuse(errno.ENOTEMPTY);
  if (target?.node === node) return;
  const moves = node.body.kind === 'directory';
  checkRemovable(dir, node, user);
  checkAlive(newDir);
  if (target === undefined) {
    newDir.require(user, MAY.WRITE);
  } else {
    checkRemovable(newDir, target.node, user);
    checkReplaceable(target.node, moves);
  }
  // its `..` will be another one
  if (moves && dir !== newDir) node.require(user, MAY.WRITE);
  replace(dir, from, name, newDir, to, newName, entry, target);
}

function replace(
  dir: Inode,
  from: Directory,
  name: string,
  newDir: Inode,
  to: Directory,
  newName: string,
  { node }: Entry,
  target: Entry | undefined,
): void {
  const { budget } = dir.volume;
  if (target === undefined) {
    budget.take(entryCost(newName));
    to.entries.set(newName, { node, cookie: to.nextCookie++ });
  } else {
    if (target.node.body.kind === 'directory') to.subdirectories--;
    const gone = target.node;
    target.node = node;
    bury(gone);
  }
  leave(dir, from, name, node);
  adopt(newDir, to, node);
  node.altered();
  dir.changed();
  if (newDir !== dir) newDir.changed();
}

/** Whether `node` is `top` or lies below it. */
function isWithin(node: Inode, top: Inode): boolean {
  for (let each: Inode | undefined = node; each !== undefined; ) {
    if (each === top) return true;
    each = each.body.kind === 'directory' ? each.body.parent : undefined;
  }
  return false;
}

/** The top of a tree: its own parent, with a name that nothing removes. */
export function makeRoot(volume: Volume, mode: number, uid: number, gid: number): Inode {
  const root = new Inode(volume, S.IFDIR | mode, uid, gid, emptyDirectory(undefined));
  root.nlink = 1;
  return root;
}
