// Whose numbers are whose: the server's user and group ids as this machine has them, and back (idmap=none|user|file).
// Outwards go attributes and the ids in ACLs; inwards chown, the group of what is created, ACLs, and with files who attaches.
// Pure: the files' text and the user database are given to it. An id without a counterpart is EPERM or passes as it is,
// as `nomap` says; one that the server does not know itself (NONUNAME) is never mapped.

import { errno } from '../../common/errno.ts';
import { ConfigError, ErrnoError } from '../../common/errors.ts';
import { NONUNAME } from '../../wire/p9/constants.ts';

/** What becomes of an id that a file does not name: an error, as with sshfs, or nothing. */
export type NoMap = 'error' | 'ignore';

/** One kind of id, both ways. Both throw EPERM for an id that has no counterpart and may not pass without. */
export interface IdMap {
  toLocal(id: number): number;
  toServer(id: number): number;
}

export const sameIds: IdMap = { toLocal: (id) => id, toServer: (id) => id };

/** idmap=user: one id of the server's is one of ours; all others pass as they are. */
export function oneId(server: number, local: number): IdMap {
  if (server === local || server === NONUNAME) return sameIds;
  return {
    toLocal: (id) => (id === server ? local : id),
    toServer: (id) => (id === local ? server : id),
  };
}

/** What a file of ids says, each way. */
export interface IdPairs {
  /** For messages. */
  readonly file: string;
  readonly toLocal: ReadonlyMap<number, number>;
  readonly toServer: ReadonlyMap<number, number>;
  /** Names that nobody here has; their lines mean nothing. */
  readonly unknown: readonly string[];
}

/**
 * Reads `name:id` lines, or those of passwd(5) and group(5): the name is one of this machine's, the id the server's.
 * Where several names have one id of the server's, the first is shown, as getpwuid(3) does it.
 */
export function readIdPairs(text: string, file: string, localId: (name: string) => number | undefined): IdPairs {
  const toLocal = new Map<number, number>();
  const toServer = new Map<number, number>();
  const unknown: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const wrong = (what: string): never => {
      throw new ConfigError(`${file}, line ${index + 1}: ${what}`);
    };
    const fields = line.trim().split(':');
    const [name = ''] = fields;
    const id = (fields.length === 2 ? fields[1] : fields[2]) ?? '';
    if (name === '' || fields.length < 2) wrong(`'${line.trim()}' is not NAME:ID, nor a line of passwd or group`);
    if (!/^\d{1,10}$/.test(id) || Number(id) >= NONUNAME) wrong(`'${id}' is not a number from 0 to ${NONUNAME - 1}`);
    const local = localId(name);
    if (local === undefined) {
      unknown.push(name);
      continue;
    }
    const server = Number(id);
    const before = toServer.get(local);
    if (before !== undefined && before !== server) wrong(`${name} is ${before} in a line above, and ${id} here`);
    toServer.set(local, server);
    if (!toLocal.has(server)) toLocal.set(server, local);
  }
  return { file, toLocal, toServer, unknown };
}

/** idmap=file. */
export function mappedIds({ file, toLocal, toServer }: IdPairs, nomap: NoMap): IdMap {
  const other = (id: number, whose: string): number => {
    if (nomap === 'ignore' || id === NONUNAME) return id;
    throw new ErrnoError(errno.EPERM, `${file} has no line for ${whose} ${id}`);
  };
  return {
    toLocal: (id) => toLocal.get(id) ?? other(id, "the server's"),
    toServer: (id) => toServer.get(id) ?? other(id, 'our'),
  };
}

/** Version of the ACLs in extended attributes (linux/posix_acl_xattr.h), and the tags of entries that name somebody. */
const ACL_VERSION = 2;
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;
const ACL_HEADER = 4;
const ACL_ENTRY = 8;

/** An ACL's attribute with its ids replaced, in a copy; what is no ACL stays as it is. */
export function mapAcl(value: Uint8Array, uid: (id: number) => number, gid: (id: number) => number): Uint8Array {
  if (value.length < ACL_HEADER || (value.length - ACL_HEADER) % ACL_ENTRY !== 0) return value;
  const mapped = Uint8Array.from(value);
  const view = new DataView(mapped.buffer);
  if (view.getUint32(0, true) !== ACL_VERSION) return value;
  for (let at = ACL_HEADER; at < mapped.length; at += ACL_ENTRY) {
    const tag = view.getUint16(at, true);
    const id = view.getUint32(at + 4, true);
    if (tag === ACL_USER) view.setUint32(at + 4, uid(id), true);
    else if (tag === ACL_GROUP) view.setUint32(at + 4, gid(id), true);
  }
  return mapped;
}
