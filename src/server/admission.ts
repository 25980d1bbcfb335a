// As whom a connection may attach. 9P has no authentication that clients use, so that what Tattach claims is worth nothing by
// itself: who the client is, the kernel says (peer.ts), and here it is decided whom it may be then.
//
//   trust     whom it says
//   squash    one user, whatever it says, with one group, which is that of all it makes
//   peer      root and the server's own user: anybody; everybody else: itself
//   map       as peer, and everybody else whom the map says (usermap.ts)
//
// Guarantees: with peer and map a client that the kernel does not know is refused, and so is one that the tree would
// let do what only others may; a user's groups are those that this machine has for it.

import { errno } from '../common/errno.ts';
import type { Logger } from '../common/log.ts';
import { NONUNAME } from '../wire/p9/constants.ts';
import { refuse } from './refuse.ts';
import { type Awaitable, after, isPromise, type Tree, type User } from './tree.ts';
import type { UserMap } from './usermap.ts';
import type { Users } from './users.ts';

export type ClientUsers =
  | { readonly kind: 'trust' }
  /** The group is the user's own where it is left out. */
  | { readonly kind: 'squash'; readonly uid: number; readonly gid?: number }
  | { readonly kind: 'peer' }
  | { readonly kind: 'map'; readonly map: UserMap };

/** Who was let in: as whom, and who that is by the kernel's word, where it was asked. */
export interface Admitted {
  readonly user: User;
  readonly uid: number | undefined;
}

/** Decides on a Tattach; throws EPERM. */
export type Admit = (uname: string, nUname: number) => Awaitable<Admitted>;

/** What is to be known of one connection, and of the server. */
export interface Admitting {
  readonly peer: string;
  readonly tree: Tree;
  readonly users: Users;
  readonly logger: Logger;
  /** The client's uid by the kernel's word. */
  evidence(): Awaitable<number | undefined>;
}

/** Whether clients are told by evidence. */
export function wantsEvidence({ kind }: ClientUsers): boolean {
  return kind === 'peer' || kind === 'map';
}

const onlyItself: UserMap = { mayBe: (uid, wanted) => uid === wanted };

type Way<K extends ClientUsers['kind']> = (policy: Extract<ClientUsers, { kind: K }>, admitting: Admitting) => Admit;

const ways: { readonly [K in ClientUsers['kind']]: Way<K> } = {
  trust:
    (_policy, { users }) =>
    (uname, nUname) => ({
      user: users.of(users.claimed(uname, nUname) ?? refuse(errno.EPERM), 'any'),
      uid: undefined,
    }),
  squash:
    ({ uid, gid }, { users }) =>
    () => {
      const user = users.of(uid, 'gid');
      const own = gid ?? user.gid;
      return { user: { ...user, gid: own, groups: [own] }, uid: undefined };
    },
  peer: (_policy, admitting) => byEvidence(onlyItself, admitting),
  map: ({ map }, admitting) => byEvidence(map, admitting),
};

/** What decides for one connection. */
export function admitter(policy: ClientUsers, admitting: Admitting): Admit {
  return (ways[policy.kind] as Way<ClientUsers['kind']>)(policy as never, admitting);
}

function byEvidence(map: UserMap, admitting: Admitting): Admit {
  let asked: Awaitable<number | undefined> | undefined;
  const evidence = (): Awaitable<number | undefined> => {
    if (asked !== undefined) return asked;
    asked = admitting.evidence();
    if (isPromise(asked)) {
      asked.catch(() => {
        asked = undefined; // no word of the kernel's, but ours that it could not be asked: it may be another time
      });
    }
    return asked;
  };
  let told = false;
  const refused = (fields: object, why: string): never => {
    // once is enough: how often it asks is the client's affair
    if (!told) admitting.logger.warn({ peer: admitting.peer, ...fields }, `attach refused: ${why}`);
    told = true;
    return refuse(errno.EPERM);
  };
  return (uname, nUname) =>
    after(evidence(), (uid) =>
      uid === undefined
        ? refused({}, 'the kernel does not know whose the other end is')
        : { user: decide(map, admitting, uid, uname, nUname, refused), uid },
    );
}

/** Where nobody is named, or nobody that is known, the client is itself. */
function decide(
  map: UserMap,
  { users, tree }: Admitting,
  uid: number,
  uname: string,
  nUname: number,
  refused: (fields: object, why: string) => never,
): User {
  const claimed = users.claimed(uname, nUname);
  if (uid === 0 || uid === process.geteuid?.()) {
    const named = nUname !== NONUNAME || uname !== '';
    if (named && claimed === undefined) refused({ uid, uname }, 'nobody has that name');
    return users.of(claimed ?? uid, 'any');
  }
  const wanted = claimed ?? uid;
  if (!map.mayBe(uid, wanted)) refused({ uid, wanted }, 'it may not be that user');
  const user = users.of(wanted, 'own');
  if (tree.actsAs?.(user) === false) refused({ uid, wanted }, 'this server can act for nobody but its own user');
  return user;
}
