// The names of users and groups that go with numbers: 9P2000 has names only, the kernel numbers only.
// Reads /etc/passwd and /etc/group themselves (directory services are not asked), and again, at most once a second, when they
// have changed; a name that is a number stands for that number, as servers write who has no name.
// Must not decide what stands in for somebody unknown: that is the mount's (dfltuid, dfltgid).

import { readFileSync, statSync } from 'node:fs';
import { NONUNAME } from '../wire/p9/constants.ts';

export interface AccountFiles {
  passwd: string;
  group: string;
}

const SYSTEM: AccountFiles = { passwd: '/etc/passwd', group: '/etc/group' };
/** Milliseconds. */
const LOOK_AGAIN = 1000;

/** Somebody who has another name at the server; a user's own group has the user's name (users(6)). */
export interface Alias {
  name: string;
  uid: number;
  gid: number;
}

/** Both files are `name:password:number:...`. */
class Table {
  readonly #path: string;
  #stamp = '';
  #lookAt = 0;
  #numbers = new Map<string, number>();
  #names = new Map<number, string>();

  constructor(path: string) {
    this.#path = path;
  }

  number(name: string): number | undefined {
    this.#refresh();
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = /^\d{1,10}$/.test(name) ? Number(name) : NONUNAME;
    return number < NONUNAME ? number : undefined;
  }

  name(number: number): string {
    this.#refresh();
    return this.#names.get(number) ?? String(number);
  }

  #refresh(): void {
    const now = performance.now();
    if (now < this.#lookAt) return;
    this.#lookAt = now + LOOK_AGAIN;
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    const stamp = stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    this.#numbers = new Map();
    this.#names = new Map();
    if (stat === undefined) return;
    for (const line of readFileSync(this.#path, 'utf8').split('\n')) {
      const [name = '', , id = ''] = line.split(':');
      if (name === '' || !/^\d{1,10}$/.test(id)) continue;
      const number = Number(id);
      // the first line of a name counts, and a name for a number is one that leads back to it
      if (!this.#numbers.has(name)) this.#numbers.set(name, number);
      if (this.#numbers.get(name) === number && !this.#names.has(number)) this.#names.set(number, name);
    }
  }
}

export class Accounts {
  readonly #users: Table;
  readonly #groups: Table;
  readonly #alias: Alias | undefined;

  constructor(files: AccountFiles = SYSTEM, alias?: Alias) {
    this.#users = new Table(files.passwd);
    this.#groups = new Table(files.group);
    this.#alias = alias;
  }

  /** Undefined for a name that nobody here has. */
  uidOf(name: string): number | undefined {
    return name === this.#alias?.name ? this.#alias.uid : this.#users.number(name);
  }

  gidOf(name: string): number | undefined {
    return name === this.#alias?.name ? this.#alias.gid : this.#groups.number(name);
  }

  /** The number itself, as text, where it has no name. */
  userOf(uid: number): string {
    return this.#alias !== undefined && uid === this.#alias.uid ? this.#alias.name : this.#users.name(uid);
  }

  groupOf(gid: number): string {
    return this.#alias !== undefined && gid === this.#alias.gid ? this.#alias.name : this.#groups.name(gid);
  }
}
