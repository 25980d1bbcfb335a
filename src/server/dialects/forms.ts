// What 9P2000.u says otherwise than 9P2000, for the handlers of the messages that both have (server/plan9).
// The two implementations are dotu.ts and legacy.ts.

import type { AbortSignalLike } from '../../common/abort.ts';
import type { Message } from '../../wire/p9/messages.ts';
import type { Stat } from '../../wire/p9/stat.ts';
import type { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import type { Session } from '../session.ts';
import type { Attributes, Awaitable, TreeNode } from '../tree.ts';
import type { Names } from '../users.ts';

/** The mode and the group of what is to be made. */
export interface Birth {
  readonly mode: number;
  readonly gid: number;
}

/** Makes, by Tcreate, what is neither a file nor a directory. */
export type Maker = (
  session: Session,
  message: Message<'Tcreate'>,
  request: Request,
  birth: Birth,
) => Awaitable<unknown>;

export interface Forms {
  /** Whether a stat has .u's fields. */
  readonly extended: boolean;
  /** The bits that the mode byte of Topen and Tcreate may have. */
  readonly omodes: number;
  /** The bits of Tcreate's perm that are permissions of any kind. */
  readonly permissions: number;
  /** Whether a Twstat of the name takes the place of a file that has it already. */
  readonly replaces: boolean;
  /** The mode of a stat, from st_mode. */
  toDm(mode: number): number;
  /** The permissions of st_mode, from the mode of a message; what the dialect has no bits for is as in `old`. */
  fromDm(dm: number, old: number): number;
  /** .u's extension of a file. */
  extension(node: TreeNode, attributes: Attributes, user: Fid['user'], signal: AbortSignalLike): Awaitable<string>;
  /** What a file or directory that `user` makes in `dir` gets. */
  birth(dir: TreeNode, user: Fid['user'], dm: number, signal: AbortSignalLike): Awaitable<Birth>;
  /** The owners that a Twstat asks for; undefined for those to be left alone. Refuses names that nobody has. */
  owners(stat: Stat, names: Names): { readonly uid: number | undefined; readonly gid: number | undefined };
  /** By the DM bit that asks for it. */
  readonly makers: ReadonlyMap<number, Maker>;
}
