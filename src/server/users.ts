// Who an attaching client says it is, completed from this machine's user database: primary and supplementary groups.
// Reads /etc/passwd and /etc/group themselves (directory services are not asked) and again whenever they have changed;
// on a machine without them every uid is its own group.
// Must not decide what a user may do, and proves nothing: 9P without authentication trusts the client's word.

import { readFileSync, statSync } from 'node:fs';
import { NONUNAME } from '../wire/p9/constants.ts';
import type { User } from './tree.ts';

interface Database {
  byUid: ReadonlyMap<number, { name: string; gid: number }>;
  byName: ReadonlyMap<string, number>;
  /** Group ids of each member's name. */
  groups: ReadonlyMap<string, number[]>;
}

export interface UserFiles {
  passwd: string;
  group: string;
}

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
  #database: Database = { byUid: new Map(), byName: new Map(), groups: new Map() };

  constructor(files: UserFiles = SYSTEM) {
    this.#files = files;
  }

  /** The user of a Tattach: n_uname where it is given, uname where not; undefined for a name that nobody has. */
  find(uname: string, nUname: number): User | undefined {
    const { byUid, byName, groups } = this.#read();
    let uid = nUname;
    if (nUname === NONUNAME) {
      const known = byName.get(uname) ?? (/^\d{1,10}$/.test(uname) ? Number(uname) : undefined);
      if (known === undefined || known >= NONUNAME) return undefined;
      uid = known;
    }
    const entry = byUid.get(uid);
    const gid = entry?.gid ?? uid;
    const others = entry === undefined ? [] : (groups.get(entry.name) ?? []);
    return { uid, gid, groups: [...new Set([gid, ...others])], uname: entry?.name ?? uname };
  }

  #read(): Database {
    const stamps = { passwd: stamp(this.#files.passwd), group: stamp(this.#files.group) };
    if (stamps.passwd === this.#stamps.passwd && stamps.group === this.#stamps.group) return this.#database;
    const byUid = new Map<number, { name: string; gid: number }>();
    const byName = new Map<string, number>();
    for (const [name = '', , uid, gid] of rows(this.#files.passwd, stamps.passwd)) {
      if (name === '' || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) continue;
      if (!byName.has(name)) byName.set(name, Number(uid));
      if (!byUid.has(Number(uid))) byUid.set(Number(uid), { name, gid: Number(gid) });
    }
    const groups = new Map<string, number[]>();
    for (const [, , gid, members = ''] of rows(this.#files.group, stamps.group)) {
      if (!/^\d+$/.test(gid ?? '')) continue;
      for (const member of members.split(',')) groups.set(member, [...(groups.get(member) ?? []), Number(gid)]);
    }
    this.#stamps = stamps;
    this.#database = { byUid, byName, groups };
    return this.#database;
  }
}
