// Which planned misbehaviour a message meets, in trees that have some (Tree.misbehaves): that of the file that it is about, or
// of a directory through which it walks.

import { Abort } from '../common/abort.ts';
import { ErrnoError } from '../common/errors.ts';
import type { Message } from '../wire/p9/messages.ts';
import { subjectOf } from '../wire/p9/traits.ts';
import type { Fault } from './fault.ts';
import type { Fid } from './fids.ts';
import type { Session } from './session.ts';
import { isPromise, type TreeNode } from './tree.ts';

/** The planned misbehaviour of a message; a fid that does not exist is the handler's to refuse. */
export function faultFor(session: Session, message: Message): Fault | undefined {
  const number = subjectOf(message);
  const fid = number === undefined ? undefined : session.fids.find(number);
  if (fid === undefined) return undefined;
  return fid.node.faultOf?.(message.type) ?? (message.type === 'Twalk' ? faultOnTheWay(fid, message.names) : undefined);
}

/** That of a directory through which a walk goes: a client may name all of a path in one Twalk. Such trees answer at once. */
function faultOnTheWay({ node, user }: Fid, names: readonly string[]): Fault | undefined {
  const passed: TreeNode[] = [];
  let at = node;
  try {
    for (const name of names.slice(0, -1)) {
      const next = at.walk(name, user, new Abort());
      if (isPromise(next)) return undefined;
      passed.push(next);
      at = next;
      const fault = at.faultOf?.('Twalk');
      if (fault !== undefined) return fault;
    }
    return undefined;
  } catch (error) {
    // the walk itself says what is missing
    if (!(error instanceof ErrnoError)) throw error;
    return undefined;
  } finally {
    for (const each of passed) each.release();
  }
}
