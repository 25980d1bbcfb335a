// What the server's fids are, found out from operations that happen anyway (client/fidfacts.ts): right after a name was moved or
// removed, while the kernel still keeps everybody of this mount away from it, fids that came by it are asked what they mean.
// Guarantees: asks once for each fact; nothing of what is asked changes a file, but for the time of the last access, which is set
// to what it is; the operation has happened and does not fail whatever is answered.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { FidFact, Known } from '../../client/fidfacts.ts';
import type { Fid } from '../../client/fids.ts';
import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import { S_IFMT, S_IFREG } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import type { OpenFile } from '../files/handles.ts';
import { finish } from '../finish.ts';
import { isDir, isQid, type Node } from '../nodes/node.ts';
import { isGone } from './nodefids.ts';

/** How many known files below a renamed directory are looked through for one that has a fid. */
const MOST_BELOW = 256;

/** Fids to be asked, held until they were. */
export interface Witnesses {
  readonly node: Node;
  readonly unopened: Fid | undefined;
  readonly below: { node: Node; fid: Fid } | undefined;
  release(): void;
}

const NOBODY: Witnesses = {
  node: undefined as unknown as Node,
  unopened: undefined,
  below: undefined,
  release: () => {},
};

/** To be called before a name of the node is moved or removed. */
export function witnesses(fs: Bridge, node: Node | undefined): Witnesses {
  const { fidFacts, connection } = fs.session;
  if (node === undefined || fidFacts.knows('bound') === true || !hasOneName(node)) return NOBODY;
  const unopened = fs.fidCache.peek(node);
  const below = isDir(node) && fidFacts.knows('below') === undefined ? someBelow(fs, node) : undefined;
  const held = [unopened, below?.fid].filter((fid) => fid !== undefined);
  connection.fids.hold(held);
  return { node, unopened, below, release: () => connection.fids.drop(held) };
}

function someBelow(fs: Bridge, dir: Node): Witnesses['below'] {
  const open = [dir];
  for (let i = 0; i < open.length && i < MOST_BELOW; i++) {
    for (const node of open[i]!.names.values()) {
      const fid = fs.fidCache.peek(node);
      if (fid !== undefined && hasOneName(node)) return { node, fid };
      if (open.length < MOST_BELOW) open.push(node);
    }
  }
  return undefined;
}

/** A fid of a file with several names may have come by another than the one that is moved. */
function hasOneName(node: Node): boolean {
  return isDir(node) || (node.stat.nlink <= 1 && node.place?.next === undefined);
}

/** The node has another name now, and nothing has the old one. */
export async function askAfterRename(
  fs: Bridge,
  ctx: RequestContext,
  { node, unopened, below }: Witnesses,
): Promise<void> {
  const { fidFacts } = fs.session;
  if (node === undefined || fidFacts.sure) return;
  await asking(fs, ctx, async (signal) => {
    if (unopened !== undefined && fidFacts.knows('unopened') === undefined) {
      settle(fs, 'unopened', isFile(await means(fs, unopened, node, signal)));
    }
    if (below !== undefined) settle(fs, 'below', isFile(await means(fs, below.fid, below.node, signal)));
    for (const file of node.opens) await askOpen(fs, file, signal);
  });
}

async function askOpen(fs: Bridge, file: OpenFile, signal: AbortSignalLike): Promise<void> {
  const { fidFacts } = fs.session;
  if (isSynthetic(file) || !isRegular(file.node) || fidFacts.knows('openGetattr') !== undefined) return;
  const stat = await means(fs, file.fid, file.node, signal);
  settle(fs, 'openGetattr', isFile(stat));
  settle(fs, 'openSetattr', await canChange(fs, file.fid, stat, signal));
  if (stat !== 'another') settle(fs, 'openIo', await canTransfer(fs, file, signal));
}

/** The node has lost its last name, which nothing has now. A true answer is none where the file may have other names. */
export async function askNameless(fs: Bridge, ctx: RequestContext, { node, unopened }: Witnesses): Promise<void> {
  const { fidFacts } = fs.session;
  if (node === undefined || unopened === undefined || fidFacts.knows('bound') !== undefined) return;
  if (!isRegular(node)) return;
  await asking(fs, ctx, async (signal) => {
    const stat = await means(fs, unopened, node, signal);
    // a number that another file has got already would look the same, but for its links
    if (stat === 'nothing') settle(fs, 'bound', false);
    else if (isStat(stat) && stat.nlink === 0) settle(fs, 'bound', await canSet(fs, unopened, stat, signal));
  });
}

/** The open file has lost its last name, hidden or not. */
export async function askOpenNameless(fs: Bridge, ctx: RequestContext, file: OpenFile): Promise<void> {
  const { fidFacts, dialect } = fs.session;
  const { fid, node } = file;
  if (fidFacts.openNeedsNoName || isSynthetic(file) || !isRegular(node) || fidFacts.knows('namelessIo') !== undefined)
    return;
  await asking(fs, ctx, async (signal) => {
    const stat = await means(fs, fid, node, signal);
    settle(fs, 'namelessGetattr', isFile(stat));
    settle(fs, 'namelessSetattr', await canChange(fs, fid, stat, signal));
    if (stat === 'another') return;
    settle(fs, 'namelessFsync', await works(() => dialect.fsync(fid, false, signal)));
    settle(fs, 'namelessIo', await canTransfer(fs, file, signal));
  });
}

/** As far as is known: even a write of no bytes may mean something to such a file. */
function isSynthetic({ stream, node }: OpenFile): boolean {
  return stream && !node.isPlain;
}

function isRegular({ stat }: Node): boolean {
  return (stat.mode & S_IFMT) === S_IFREG;
}

function settle({ session }: Bridge, fact: FidFact, answer: Known): void {
  if (answer !== undefined) session.fidFacts.settle(fact, answer);
}

/** What follows an operation that has happened: what is not answered in time, or by an error that says nothing, stays unknown. */
async function asking(
  fs: Bridge,
  ctx: RequestContext,
  work: (signal: AbortSignalLike) => Promise<void>,
): Promise<void> {
  try {
    await finish(fs, ctx, ({ signal }) => work(signal));
  } catch (error) {
    fs.logger.debug({ error: String(error) }, "what the server's fids are is not known yet");
  }
}

/** What a fid means: its file, whose attributes these are; nothing; another file; or that cannot be told. */
type Meaning = FileStat | 'nothing' | 'another' | undefined;

async function means(fs: Bridge, fid: Fid, node: Node, signal: AbortSignalLike): Promise<Meaning> {
  try {
    const stat = await fs.session.dialect.stat(fid, signal);
    return isQid(node, stat.qid) ? stat : 'another';
  } catch (error) {
    return answerOf(error) === false ? 'nothing' : undefined;
  }
}

function isStat(meaning: Meaning): meaning is FileStat {
  return typeof meaning === 'object';
}

function isFile(meaning: Meaning): Known {
  return meaning === undefined ? undefined : isStat(meaning);
}

/** Whether a change through the fid reaches the file; what means another one is not changed to find out. */
async function canChange(fs: Bridge, fid: Fid, meaning: Meaning, signal: AbortSignalLike): Promise<Known> {
  return isStat(meaning) ? canSet(fs, fid, meaning, signal) : isFile(meaning);
}

/** Whether a change finds the file: the access time is set to what it is. A refusal has found it as well. */
function canSet(fs: Bridge, fid: Fid, stat: FileStat, signal: AbortSignalLike): Promise<boolean | undefined> {
  const atime = { sec: stat.atime, nsec: stat.atimeNsec };
  return works(() => fs.session.dialect.change(fid, { atime }, signal), errno.EPERM, errno.EACCES, errno.EROFS);
}

/** Whether reads or writes find it: by one of no bytes at its start, which leaves everything as it is. */
function canTransfer(fs: Bridge, { fid, flags }: OpenFile, signal: AbortSignalLike): Promise<boolean | undefined> {
  const { calls } = fs.session;
  return works(async () => {
    if ((flags & OPEN.ACCMODE) !== OPEN.RDONLY) await calls.write(fid, 0, new Uint8Array(0), undefined, signal);
    else await calls.read(fid, 0, new Uint8Array(1), undefined, signal);
  });
}

async function works(request: () => Promise<unknown>, ...found: number[]): Promise<boolean | undefined> {
  try {
    await request();
    return true;
  } catch (error) {
    return isErrno(error, ...found) ? true : answerOf(error);
  }
}

function answerOf(error: unknown): false | undefined {
  if (!(error instanceof ErrnoError)) throw error;
  return isGone(error) ? false : undefined;
}
