// Tread, also of a directory, which reads as the stats of its entries (read(9P)): whole ones only, from the beginning or from
// where the last read ended.
// Guarantees: an entry that is there all the time is read exactly once; what a fid holds of its listing is bounded.

import type { Slab } from '../../common/bufpool.ts';
import { errno } from '../../common/errno.ts';
import { CancelledError, ErrnoError, isErrno } from '../../common/errors.ts';
import { Writer } from '../../common/writer.ts';
import { QT } from '../../wire/p9/constants.ts';
import type { Message } from '../../wire/p9/messages.ts';
import { type Stat, statSize, writeStat } from '../../wire/p9/stat.ts';
import type { Dirent } from '../../wire/p9/types.ts';
import type { Forms } from '../dialects/forms.ts';
import type { Fid, Listing, OpenFid } from '../fids.ts';
import type { Request } from '../flush.ts';
import { read as readFile } from '../handlers/io.ts';
import { meant } from '../meaning.ts';
import { refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, type ReadResult, type TreeNode, type User } from '../tree.ts';
import { bareStat, statOf } from './stat.ts';

/** Every entry is walked to and looked at: more of them in one go would keep the others waiting. */
const LISTING_MAX = 32 * 1024;
/** Entries taken from the tree at a time. */
const AHEAD = 64;

export function read(forms: Forms) {
  return (session: Session, message: Message<'Tread'>, request: Request): Awaitable<ReadResult> => {
    const fid = session.fids.get(message.fid);
    const { state } = fid;
    if (state.kind !== 'open' || state.listing === undefined) return readFile(session, message, request);
    session.use(request, message.fid);
    const { listing } = state;
    if (message.offset !== 0 && message.offset !== listing.offset) refuse(errno.ESPIPE);
    const size = Math.min(message.count, session.iounit, LISTING_MAX);
    return list(forms, session, fid, state, listing, message.offset, size, request);
  };
}

async function list(
  forms: Forms,
  session: Session,
  fid: Fid,
  state: OpenFid,
  listing: Listing,
  offset: number,
  size: number,
  request: Request,
): Promise<ReadResult> {
  const slab = await session.lend(Math.max(size, 1), request);
  try {
    const from: Listing = offset === 0 ? { offset: 0, cookie: 0n, ahead: [] } : { ...listing };
    const write = (dir: TreeNode | undefined) => fill(forms, session, dir, fid.user, state, from, slab, size, request);
    const count = await inListed(session, fid, request, write);
    // only now: a read that was flushed has not moved it
    Object.assign(listing, from, { offset: offset + count });
    return { data: slab.bytes.subarray(0, count), release: () => slab.release() };
  } catch (error) {
    slab.release();
    throw error;
  }
}

/**
 * Calls `act` with the directory in which the entries are looked at. Where that goes by a path that leads nowhere any
 * more it is undefined: the listing itself may go on, and none of its entries is found (u9fs).
 */
async function inListed<T>(
  session: Session,
  fid: Fid,
  request: Request,
  act: (dir: TreeNode | undefined) => Promise<T>,
): Promise<T> {
  let looked = false;
  try {
    return await meant(session, fid, 'attributes', request, (dir) => {
      looked = true;
      return act(dir);
    });
  } catch (error) {
    if (looked || !(isErrno(error, errno.ENOENT) || isErrno(error, errno.ENOTDIR))) throw error;
    return act(undefined);
  }
}

/** Writes entries until there are none or one does not fit; returns their bytes. */
async function fill(
  forms: Forms,
  session: Session,
  dir: TreeNode | undefined,
  user: User,
  state: OpenFid,
  listing: Listing,
  slab: Slab,
  size: number,
  request: Request,
): Promise<number> {
  const writer = new Writer(slab.bytes);
  for (;;) {
    if (listing.ahead.length === 0) await advance(state, listing, request);
    if (listing.ahead.length === 0) return writer.at;
    for (let i = 0; i < listing.ahead.length; i++) {
      const entry = listing.ahead[i]!;
      const found = dir && statOfEntry(forms, session, dir, user, entry, request);
      const stat = isPromise(found) ? await found : found;
      if (request.aborted) throw new CancelledError();
      if (stat === undefined) continue;
      if (statSize(stat, forms.extended) > size - writer.at) {
        // no bytes at all would say that the directory ends
        if (writer.at === 0) refuse(errno.EINVAL);
        listing.ahead = listing.ahead.slice(i);
        return writer.at;
      }
      writeStat(writer, stat, forms.extended);
    }
    listing.ahead = [];
  }
}

/** Takes the next entries from the tree; none at the end. */
async function advance(state: OpenFid, listing: Listing, request: Request): Promise<void> {
  const ahead: Dirent[] = [];
  await state.file.readdir(
    listing.cookie,
    (entry) => {
      if (ahead.length >= AHEAD) return false;
      listing.cookie = entry.offset;
      // read(9P) has no such entries
      if (entry.name !== '.' && entry.name !== '..') ahead.push(entry);
      return true;
    },
    request,
  );
  listing.ahead = ahead;
}

/** Undefined for an entry that is gone. */
function statOfEntry(
  forms: Forms,
  session: Session,
  dir: TreeNode,
  user: User,
  entry: Dirent,
  request: Request,
): Awaitable<Stat | undefined> {
  const { name, qid, type } = entry;
  const bare = () => bareStat(forms, qid, type, name);
  // a tree of faults lists names that cannot be asked for
  if (name === '' || /[/\0]/.test(name)) return bare();
  const failed = (error: unknown): Stat | undefined => {
    if (error instanceof CancelledError || !(error instanceof ErrnoError)) throw error;
    // whoever may read a directory and not search it is told what the directory itself holds
    return error.errno === errno.ENOENT ? undefined : bare();
  };
  const look = (node: TreeNode): Awaitable<Stat> => {
    let stat: Awaitable<Stat>;
    try {
      stat = statOf(forms, session, node, name, user, request);
    } catch (error) {
      node.release();
      throw error;
    }
    if (isPromise(stat)) return stat.finally(() => node.release());
    node.release();
    return stat;
  };
  try {
    const node = dir.walk(name, user, request);
    if (isPromise(node)) return node.then(look).catch(failed);
    const stat = look(node);
    return isPromise(stat) ? stat.catch(failed) : stat;
  } catch (error) {
    return failed(error);
  }
}

/** Where the listing of a fid that was just opened begins; undefined of what is no directory. */
export function listingOf(fid: Fid): Listing | undefined {
  return fid.node.qid.type & QT.DIR ? { offset: 0, cookie: 0n, ahead: [] } : undefined;
}
