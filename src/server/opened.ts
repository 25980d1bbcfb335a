// What is open on a fid, as the server's behaviour has it: a tree's own file, or one that does some things otherwise.
// Guarantees: a server that behaves as it does of itself gives out the tree's own file, and pays for none of this.
// Must not keep anything beside the tree's file: what it opens for one request it closes with it.

import { errno } from '../common/errno.ts';
import { OPEN, QT } from '../wire/p9/constants.ts';
import type { Behaviour } from './behaviour.ts';
import type { Fid, Listing, OpenFid } from './fids.ts';
import { goesBy, mustLead } from './meaning.ts';
import { refuse } from './refuse.ts';
import { follow, holding } from './routes.ts';
import type { Session } from './session.ts';
import { type Awaitable, after, isPromise, type OpenFile } from './tree.ts';

type Signal = Parameters<OpenFile['fsync']>[1];

/** The flags with which a tree opens what a client opens with `flags`. */
export function treeFlags({ append }: Behaviour, flags: number): number {
  return append === 'offset' ? flags & ~OPEN.APPEND : flags;
}

/** The state of a fid that has become open: `file` was opened on its node. */
export function opened(session: Session, fid: Fid, file: OpenFile, flags: number, listing?: Listing): OpenFid {
  const state = { kind: 'open', file: behaving(session, fid, file, flags), own: file, flags } as const;
  return listing === undefined ? state : { ...state, listing };
}

/** The tree's own file, where changes through the fid go to the file on which it was opened. */
export function ownFile(session: Session, fid: Fid): OpenFile | undefined {
  const { state } = fid;
  return state.kind === 'open' && goesBy(session, fid, 'changes') === 'file' ? state.own : undefined;
}

function behaving(session: Session, fid: Fid, own: OpenFile, flags: number): OpenFile {
  const { kind, append, fsync } = session.behaviour;
  let file = own;
  if (kind.io === 'path') file = byPath(fid, file, treeFlags(session.behaviour, flags));
  if (append === 'refuse' && flags & OPEN.APPEND) file = { ...through(file), write: () => refuse(errno.EIO) };
  if (fsync === 'eisdir' && fid.node.qid.type & QT.DIR) file = { ...through(file), fsync: () => refuse(errno.EISDIR) };
  return looksForPath(session) ? committing(fid, file) : file;
}

/** Whether a Tfsync and a Twstat of nothing are refused where the fid's path leads nowhere. */
export function looksForPath({ behaviour: { kind, fsync } }: Session): boolean {
  return fsync === 'path' || kind.fsync === 'path';
}

function committing(fid: Fid, file: OpenFile): OpenFile {
  return {
    ...through(file),
    fsync: (dataOnly, signal) => after(mustLead(fid, signal), () => file.fsync(dataOnly, signal)),
  };
}

/** Another object with all that the file does, for some of it to be replaced. */
function through(file: OpenFile): OpenFile {
  return {
    read: (offset, count, lend, signal) => file.read(offset, count, lend, signal),
    write: (offset, data, signal) => file.write(offset, data, signal),
    readdir: (cookie, add, signal) => file.readdir(cookie, add, signal),
    fsync: (dataOnly, signal) => file.fsync(dataOnly, signal),
    lock: (request, signal) => file.lock(request, signal),
    getlock: (request, signal) => file.getlock(request, signal),
    close: () => file.close(),
  };
}

/**
 * What is at the fid's path, for each call anew. Where that is the node on which `own` was opened it is `own`; another
 * one is opened for the call, as the fid's user, so that a record lock on it ends with the call.
 */
function byPath(fid: Fid, own: OpenFile, flags: number): OpenFile {
  const { node } = fid;
  const again = flags & ~(OPEN.TRUNC | OPEN.EXCL | OPEN.CREATE);
  const now = <T>(signal: Signal, act: (file: OpenFile) => Awaitable<T>, undo?: (result: T) => void): Awaitable<T> => {
    const route = fid.route ?? refuse(errno.ENOENT);
    return after(follow(route, fid.user, signal), (found) =>
      holding(found, () => {
        if (found === node) return act(own);
        return after(found.open(again, fid.user, signal), (file) => closing(file, act, undo));
      }),
    );
  };
  return {
    read: (offset, count, lend, signal) =>
      now(
        signal,
        (file) => file.read(offset, count, lend, signal),
        ({ release }) => release?.(),
      ),
    write: (offset, data, signal) => now(signal, (file) => file.write(offset, data, signal)),
    readdir: (cookie, add, signal) => now(signal, (file) => file.readdir(cookie, add, signal)),
    fsync: (dataOnly, signal) => now(signal, (file) => file.fsync(dataOnly, signal)),
    lock: (request, signal) => now(signal, (file) => file.lock(request, signal)),
    getlock: (request, signal) => now(signal, (file) => file.getlock(request, signal)),
    close: () => own.close(),
  };
}

/** Closes the file when `act` has ended; a result that is lost because closing fails is undone. */
function closing<T>(
  file: OpenFile,
  act: (file: OpenFile) => Awaitable<T>,
  undo: (result: T) => void = () => {},
): Awaitable<T> {
  const close = (result: T): Awaitable<T> => {
    try {
      const closed = file.close();
      if (!isPromise(closed)) return result;
      return closed.then(
        () => result,
        (error) => lost(result, error),
      );
    } catch (error) {
      return lost(result, error);
    }
  };
  const lost = (result: T, error: unknown): never => {
    undo(result);
    throw error;
  };
  const failed = (error: unknown): Awaitable<never> =>
    after(file.close(), () => {
      throw error;
    });
  let result: Awaitable<T>;
  try {
    result = act(file);
  } catch (error) {
    return failed(error);
  }
  return isPromise(result) ? result.then(close, failed) : close(result);
}
