// Tread, also of a directory, which reads as the stats of its entries (read(9P)): whole ones only, from the beginning or from
// where the last read ended.
// Guarantees: an entry that is there all the time is read exactly once; what a fid holds of its listing is bounded.

import type { Slab } from '../../common/bufpool.ts';
import { errno } from '../../common/errno.ts';
import { CancelledError, ErrnoError } from '../../common/errors.ts';
import { Writer } from '../../common/writer.ts';
import { QT } from '../../wire/p9/constants.ts';
import type { Message } from '../../wire/p9/messages.ts';
import { type Stat, statSize, writeStat } from '../../wire/p9/stat.ts';
import type { Dirent } from '../../wire/p9/types.ts';
import type { Forms } from '../dialects/forms.ts';
import type { Fid, FidState, Listing } from '../fids.ts';
import type { Request } from '../flush.ts';
import { read as readFile } from '../handlers/io.ts';
import { refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, type ReadResult } from '../tree.ts';
import type { Names } from '../users.ts';
import { bareStat, statOf } from './stat.ts';

/** Every entry is walked to and looked at: more of them in one go would keep the others waiting. */
const LISTING_MAX = 32 * 1024;
/** Entries taken from the tree at a time. */
const AHEAD = 64;

type Open = Extract<FidState, { kind: 'open' }>;

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
  state: Open,
  listing: Listing,
  offset: number,
  size: number,
  request: Request,
): Promise<ReadResult> {
  const slab = await session.lend(Math.max(size, 1), request);
  try {
    const from: Listing = offset === 0 ? { offset: 0, cookie: 0n, ahead: [] } : { ...listing };
    const count = await fill(forms, fid, state, from, slab, size, session.users.names, request);
    // only now: a read that was flushed has not moved it
    Object.assign(listing, from, { offset: offset + count });
    return { data: slab.bytes.subarray(0, count), release: () => slab.release() };
  } catch (error) {
    slab.release();
    throw error;
  }
}

/** Writes entries until there are none or one does not fit; returns their bytes. */
async function fill(
  forms: Forms,
  fid: Fid,
  state: Open,
  listing: Listing,
  slab: Slab,
  size: number,
  names: Names,
  request: Request,
): Promise<number> {
  const writer = new Writer(slab.bytes);
  for (;;) {
    if (listing.ahead.length === 0) await advance(state, listing, request);
    if (listing.ahead.length === 0) return writer.at;
    for (let i = 0; i < listing.ahead.length; i++) {
      const entry = listing.ahead[i]!;
      const found = statOfEntry(forms, fid, entry, names, request);
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
async function advance(state: Open, listing: Listing, request: Request): Promise<void> {
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
  fid: Fid,
  entry: Dirent,
  names: Names,
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
  const look = (node: Fid['node']): Awaitable<Stat> => {
    let stat: Awaitable<Stat>;
    try {
      stat = statOf(forms, node, name, names, fid.user, request);
    } catch (error) {
      node.release();
      throw error;
    }
    if (isPromise(stat)) return stat.finally(() => node.release());
    node.release();
    return stat;
  };
  try {
    const node = fid.node.walk(name, fid.user, request);
    if (isPromise(node)) return node.then(look).catch(failed);
    const stat = look(node);
    return isPromise(stat) ? stat.catch(failed) : stat;
  } catch (error) {
    return failed(error);
  }
}

/** What an open of the fid's file is to begin with. */
export function listingOf(fid: Fid): { listing?: Listing } {
  return fid.node.qid.type & QT.DIR ? { listing: { offset: 0, cookie: 0n, ahead: [] } } : {};
}
