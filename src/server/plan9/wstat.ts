// Twstat (stat(9P)): the changes that a stat asks for, all of them or none.
// What asks for nothing at all commits the file to stable storage.
// A tree makes one kind of change at a time here, what can be taken back before what cannot: a change that is refused takes
// back those before it. Reading the protocol strictly, others can see them in between.

import { Abort } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { isErrno } from '../../common/errors.ts';
import { DM, GETATTR, QT } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import { type Stat, UNTOUCHED } from '../../wire/p9/stat.ts';
import type { Forms } from '../dialects/forms.ts';
import type { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import { access } from '../handlers/io.ts';
import { atPlace, inDirectory, meant, mustLead, nameOf, reroute } from '../meaning.ts';
import { looksForPath, ownFile } from '../opened.ts';
import { checkName, refuse } from '../refuse.ts';
import { below } from '../routes.ts';
import type { Session } from '../session.ts';
import type { Attributes, Changes, TreeNode } from '../tree.ts';
import { S } from '../trees/modes.ts';
import { dmOf, MARKS, qidIn } from './stat.ts';

/** What cannot be changed by changing the mode. A message may leave .u's types out, but not say others. */
const TYPES = DM.DIR | DM.MOUNT | DM.AUTH | DM.SYMLINK | DM.LINK | DM.DEVICE | DM.NAMEDPIPE | DM.SOCKET;
/** Taking back is not given up halfway. */
const unstoppable = () => new Abort();

interface Step {
  run(request: Request): unknown;
  /** Takes it back; absent for the last one, and for what leaves no trace. */
  undo?(): unknown;
}

export function wstat(forms: Forms) {
  return async (session: Session, message: Message<'Twstat'>, request: Request): Promise<Body<'Rwstat'>> => {
    const fid = session.use(request, message.fid);
    const { stat } = message;
    if (isUntouched(stat)) {
      // without an open file there is nothing that was written through this fid
      if (fid.state.kind === 'open') await fid.state.file.fsync(false, request);
      else if (looksForPath(session)) await mustLead(fid, request);
      if (session.behaviour.wstat === 'exact') return {};
    }
    await meant(session, fid, 'changes', request, async (node) => {
      const old = await node.getattr(GETATTR.BASIC, fid.user, request);
      checkUnchanged(forms, stat, old);
      const steps = [
        ...(await renaming(forms, session, fid, stat, request)),
        ...changing(forms, session, fid, node, stat, old),
      ];
      if (session.behaviour.wstat === 'all-ones') steps.push(filling(session, fid, node, stat));
      await runAll(steps, request);
    });
    return {};
  };
}

function isUntouched(stat: Stat): boolean {
  const { qid, muid, nMuid, ...rest } = UNTOUCHED;
  const same = Object.entries(rest).every(([field, value]) => stat[field as keyof Stat] === value);
  return same && stat.qid.type === qid.type && stat.qid.version === qid.version && stat.qid.path === qid.path;
}

/**
 * The fields that nothing can change may be as they are, or not touched. muid may be anything: Linux's client sends its own
 * user's name along with every new name of a file (fs/9p/vfs_inode.c), and who makes a change has made the last one.
 */
function checkUnchanged(forms: Forms, { type, dev, qid, mode, length }: Stat, old: Attributes): void {
  const { qid: wild } = UNTOUCHED;
  const is = qidIn(forms, old.qid);
  const same =
    (type === UNTOUCHED.type || type === 0) &&
    (dev === UNTOUCHED.dev || dev === 0) &&
    (qid.type === wild.type || qid.type === is.type) &&
    (qid.version === wild.version || qid.version === is.version) &&
    (qid.path === wild.path || qid.path === is.path);
  if (!same) refuse(errno.EPERM);
  if (mode !== UNTOUCHED.mode) {
    const [wanted, there] = [mode & TYPES, dmOf(forms, old.mode, old.qid) & TYPES];
    if (wanted !== there && (wanted !== 0 || there & DM.DIR)) refuse(errno.EPERM);
  }
  if (is.type & QT.DIR && length !== UNTOUCHED.length && length !== 0) refuse(errno.EISDIR);
}

/** A new name in the same directory. */
async function renaming(forms: Forms, session: Session, fid: Fid, stat: Stat, request: Request): Promise<Step[]> {
  const { name } = stat;
  const oldName = nameOf(fid);
  if (name === '' || name === oldName) return [];
  checkName(name, errno.EBUSY);
  if (oldName === undefined) refuse(errno.EBUSY);
  const alone = isUntouched({ ...stat, name: '' });
  // a file that was replaced would not come back
  if (!(forms.replaces && alone) && (await exists(fid, name, request))) refuse(errno.EEXIST);
  const move = async (dir: TreeNode, from: string, to: string, signal: Abort) => {
    await dir.rename(from, dir, to, fid.user, signal);
    session.places.moved(dir, from, dir, to, fid.place?.up);
    if (fid.route?.up !== undefined) reroute(fid, below(fid.route.up, to));
  };
  return [
    {
      run: (signal) => atPlace(fid, signal, (dir) => move(dir, oldName, name, signal)),
      undo: () => inDirectory(fid, unstoppable(), (dir) => move(dir, name, oldName, unstoppable())),
    },
  ];
}

async function exists(fid: Fid, name: string, request: Request): Promise<boolean> {
  try {
    const found = await inDirectory(fid, request, (dir) => dir.walk(name, fid.user, request));
    found.release();
    return true;
  } catch (error) {
    if (isErrno(error, errno.ENOENT)) return false;
    throw error;
  }
}

function changing(forms: Forms, session: Session, fid: Fid, node: TreeNode, stat: Stat, old: Attributes): Step[] {
  const { user } = fid;
  const { mode, atime, mtime, length } = stat;
  const file = access(fid).write ? ownFile(session, fid) : undefined;
  const step = (changes: Changes, back?: Changes): Step => {
    const run: Step['run'] = (request) => node.setattr(changes, file, user, request);
    return back === undefined ? { run } : { run, undo: () => node.setattr(back, file, user, unstoppable()) };
  };
  const steps: Step[] = [];
  const { uid, gid } = forms.owners(stat, session.users.names);
  if (uid !== undefined || gid !== undefined) {
    const owners = { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
    // a change of owner may have taken suid and sgid away
    steps.push(step(owners, { uid: old.uid, gid: old.gid, mode: old.mode & ~S.IFMT }));
  }
  if (mode !== UNTOUCHED.mode) {
    const had = old.qid.type & MARKS;
    const marks = (mode >>> 24) & MARKS;
    if (marks !== had && session.tree.marks !== true) refuse(errno.EOPNOTSUPP);
    const change = marks === had ? {} : { marks };
    const back = marks === had ? {} : { marks: had };
    const permissions = forms.fromDm(mode, old.mode & ~S.IFMT);
    steps.push(step({ mode: permissions, ...change }, { mode: old.mode & ~S.IFMT, ...back }));
  }
  const times: Changes = {};
  if (atime !== UNTOUCHED.atime) times.atime = { sec: atime, nsec: 0 };
  if (mtime !== UNTOUCHED.mtime) times.mtime = { sec: mtime, nsec: 0 };
  const timed = times.atime !== undefined || times.mtime !== undefined;
  const cuts = length !== UNTOUCHED.length && !(old.qid.type & QT.DIR);
  if (timed) {
    const atime = { sec: old.atime, nsec: old.atimeNsec };
    steps.push(step(times, { atime, mtime: { sec: old.mtime, nsec: old.mtimeNsec } }));
  }
  if (cuts) steps.push(step({ size: length }));
  // a new length is a new mtime; that the times may be set was found out before
  if (timed && cuts) steps.push(step(times));
  return steps;
}

/** What a server does that takes a mode of all ones for one to be set, and keeps the bit that tells directories. */
function filling({ allOnes, tree }: Session, { user }: Fid, node: TreeNode, { mode }: Stat): Step {
  return {
    async run(request) {
      if (mode !== UNTOUCHED.mode) {
        allOnes.delete(node);
        return;
      }
      const marks = tree.marks === true && !(node.qid.type & QT.DIR) ? { marks: MARKS } : {};
      await node.setattr({ mode: 0o777, ...marks }, undefined, user, request);
      allOnes.add(node);
    },
  };
}

async function runAll(steps: readonly Step[], request: Request): Promise<void> {
  const done: Step[] = [];
  try {
    for (const step of steps) {
      await step.run(request);
      done.push(step);
    }
  } catch (error) {
    for (const step of done.reverse()) await step.undo?.();
    throw error;
  }
}
