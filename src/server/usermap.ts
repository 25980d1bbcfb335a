// The file of `--users=FILE`: which user of this machine may attach as whom.
//
//   alice   may-be bob,1005     alice may attach as herself, as bob and as uid 1005
//   backup  may-be *            as anybody but root
//   deploy  may-be *,root       as anybody
//   *       may-be nobody       whoever has no line: as itself and as nobody
//
// Who is in no line, where there is none for `*`, may not attach. Empty lines and lines that begin with # mean nothing.
// Pure: the text and the user database are given to it.

import { ConfigError } from '../common/errors.ts';

const EVERYBODY = '*';
const FORM = "write USER may-be USER[,USER...], a USER being a name, a number or '*'";

/** Whom somebody may be, besides itself. */
interface Grant {
  /** Everybody but root. */
  readonly everybody: boolean;
  readonly uids: ReadonlySet<number>;
}

export interface UserMap {
  /** Whether the user `uid` may attach as `wanted`. */
  mayBe(uid: number, wanted: number): boolean;
}

/** Throws ConfigError that names the file and the line. `uidOf`: undefined for a name that nobody here has. */
export function parseUserMap(text: string, file: string, uidOf: (name: string) => number | undefined): UserMap {
  const grants = new Map<number | typeof EVERYBODY, Grant>();
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const wrong = (what: string): never => {
      throw new ConfigError(`${file}, line ${index + 1}: ${what}`);
    };
    const number = (name: string): number => uidOf(name) ?? wrong(`there is no user '${name}' on this machine`);
    const [, left = '', right = ''] =
      /^\s*(\S+)\s+may-be\s+(\S.*?)\s*$/.exec(line) ?? wrong(`'${line.trim()}'; ${FORM}`);
    const who = left === EVERYBODY ? EVERYBODY : number(left);
    if (grants.has(who)) wrong(`${left} has a line above`);
    const names = right.split(',').map((name) => name.trim());
    if (names.some((name) => name === '' || /\s/.test(name))) wrong(`'${right}'; ${FORM}`);
    const uids = new Set(names.filter((name) => name !== EVERYBODY).map(number));
    grants.set(who, { everybody: names.includes(EVERYBODY), uids });
  }
  return {
    mayBe(uid, wanted) {
      const grant = grants.get(uid) ?? grants.get(EVERYBODY);
      if (grant === undefined) return false;
      return wanted === uid || grant.uids.has(wanted) || (grant.everybody && wanted !== 0);
    },
  };
}
