// This machine's user database: the number of a name, and a user's primary and supplementary groups.
// Reads /etc/passwd and /etc/group themselves (directory services are not asked) and again whenever they have changed;
// on a machine without them every uid is its own group.
// Must not decide who a client is, or what a user may do (admission.ts).

import { readFileSync, statSync } from 'node:fs';
import { NONUNAME } from '../wire/p9/constants.ts';
import type { NewGroup, User } from './tree.ts';

/** Names and numbers of users and groups, as they are at one time. */
export interface Names {
  /** A number that nobody has is its own name. */
  user(uid: number): string;
  group(gid: number): string;
  /** Undefined for a name that nobody has and that is no number. */
  uid(user: string): number | undefined;
  gid(group: string): number | undefined;
}

interface Database extends Names {
  byUid: ReadonlyMap<number, { name: string; gid: number }>;
  /** Group ids of each member's name. */
  groups: ReadonlyMap<string, number[]>;
  groupNames: ReadonlyMap<number, string>;
}

export interface UserFiles {
  passwd: string;
  group: string;
}

/** Milliseconds. */
const NAMES_FRESH = 1000;
/** The group of who has none: nogroup, as Linux numbers it. */
const NOGROUP = 65534;
const SYSTEM: UserFiles = { passwd: '/etc/passwd', group: '/etc/group' };

/** Changes whenever the file does; '' when it is not there. */
function stamp(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}

function rows(path: string, known: string): string[][] {
  if (known === '') return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
}

export class Users {
  readonly #files: UserFiles;
  #stamps = { passwd: '', group: '' };
  #database: Database = databaseOf([], []);
  /** Until when the names need not be looked for again, on the clock of performance.now(). */
  #fresh = 0;

  constructor(files: UserFiles = SYSTEM) {
    this.#files = files;
  }

  /** The number that a Tattach names: n_uname where it is given, that of uname where not; undefined for a name that nobody has. */
  claimed(uname: string, nUname: number): number | undefined {
    return nUname === NONUNAME ? this.#read().uid(uname) : nUname;
  }

  /** The user of this number, with its groups. */
  of(uid: number, newGroup: NewGroup): User {
    const { byUid, groups, groupNames } = this.#read();
    const entry = byUid.get(uid);
    if (entry === undefined) {
      // a number that nobody has is its own group, unless that would let it into somebody else's
      const gid = newGroup === 'any' || !groupNames.has(uid) ? uid : NOGROUP;
      return { uid, gid, groups: [gid], uname: `${uid}`, newGroup };
    }
    const { name, gid } = entry;
    return { uid, gid, groups: [...new Set([gid, ...(groups.get(name) ?? [])])], uname: name, newGroup };
  }

  /** Every stat asks for them, and looking at two files costs more than the stat: they may be a second old. */
  get names(): Names {
    const now = performance.now();
    if (now < this.#fresh) return this.#database;
    this.#fresh = now + NAMES_FRESH;
    return this.#read();
  }

  #read(): Database {
    const stamps = { passwd: stamp(this.#files.passwd), group: stamp(this.#files.group) };
    if (stamps.passwd === this.#stamps.passwd && stamps.group === this.#stamps.group) return this.#database;
    this.#stamps = stamps;
    this.#database = databaseOf(rows(this.#files.passwd, stamps.passwd), rows(this.#files.group, stamps.group));
    return this.#database;
  }
}

function databaseOf(passwd: readonly string[][], group: readonly string[][]): Database {
  const byUid = new Map<number, { name: string; gid: number }>();
  const byName = new Map<string, number>();
  for (const [name = '', , uid, gid] of passwd) {
    if (name === '' || !isNumber(uid) || !isNumber(gid)) continue;
    if (!byName.has(name)) byName.set(name, Number(uid));
    if (!byUid.has(Number(uid))) byUid.set(Number(uid), { name, gid: Number(gid) });
  }
  const groups = new Map<string, number[]>();
  const groupNames = new Map<number, string>();
  const groupIds = new Map<string, number>();
  for (const [name = '', , gid, members = ''] of group) {
    if (!isNumber(gid)) continue;
    if (!groupIds.has(name)) groupIds.set(name, Number(gid));
    if (!groupNames.has(Number(gid))) groupNames.set(Number(gid), name);
    for (const member of members.split(',')) groups.set(member, [...(groups.get(member) ?? []), Number(gid)]);
  }
  return {
    byUid,
    groups,
    groupNames,
    user: (uid) => byUid.get(uid)?.name ?? `${uid}`,
    group: (gid) => groupNames.get(gid) ?? `${gid}`,
    uid: (user) => byName.get(user) ?? numberIn(user),
    gid: (name) => groupIds.get(name) ?? numberIn(name),
  };
}

function isNumber(text: string | undefined): boolean {
  return text !== undefined && /^\d+$/.test(text);
}

function numberIn(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) < NONUNAME ? Number(text) : undefined;
}
