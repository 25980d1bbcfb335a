// How a mount shows owners and modes, and as whom its users act at the server: the identity options put together.
// The files of idmap=file are read once, before anything is connected; whoever could write them could make files seem anybody's,
// so that they have to be the mounting user's or root's, and writable by nobody else (as sshfs demands).
// Must not look at requests: ids.ts maps numbers, attrs.ts shows them.

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { Accounts } from '../../client/accounts.ts';
import type { FileStat } from '../../client/dialects/dialect.ts';
import { ConfigError } from '../../common/errors.ts';
import type { Logger } from '../../common/log.ts';
import type { MountSettings } from '../settings.ts';
import { type IdMap, mappedIds, oneId, readIdPairs, sameIds } from './ids.ts';

/** The server's ids as ours and back. */
export interface IdMaps {
  readonly uids: IdMap;
  readonly gids: IdMap;
}

export interface Owners extends IdMaps {
  /** Shown where the server names nobody. */
  readonly dfltuid: number;
  readonly dfltgid: number;
  /** Shown for everything. */
  readonly showUid?: number | undefined;
  readonly showGid?: number | undefined;
  /** Permissions that files, and directories, are shown without; all others they are shown with. */
  readonly fmask?: number | undefined;
  readonly dmask?: number | undefined;
  /** A chown that the server refuses is taken for done. */
  readonly chownIgnored?: boolean;
}

type Said = Pick<MountSettings, 'idmap' | 'uidfile' | 'gidfile' | 'nomap' | 'uid' | 'accounts'>;

const S_IWGRP_OR_OTH = 0o022;

/** The text of a file that decides who is who. Throws ConfigError when it could be somebody else's than `owner`'s or root's. */
export function readTrusted(path: string, owner: number): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new ConfigError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new ConfigError(`${path} is not a file`);
    if (stat.uid !== owner && stat.uid !== 0)
      throw new ConfigError(
        `${path} belongs to uid ${stat.uid}: it has to be yours or root's, since it decides who is who`,
      );
    if ((stat.mode & S_IWGRP_OR_OTH) !== 0)
      throw new ConfigError(`${path} can be written by others than its owner, and it decides who is who: chmod go-w`);
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** What idmap=file maps, and nothing with the others. Throws ConfigError that names the file, and the line. */
export function readMaps(said: Said, logger: Logger): IdMaps {
  const { idmap, uidfile, gidfile, nomap = 'error', accounts = new Accounts() } = said;
  if (idmap !== 'file') return { uids: sameIds, gids: sameIds };
  const read = (file: string | undefined, localId: (name: string) => number | undefined): IdMap => {
    if (file === undefined) return sameIds;
    const pairs = readIdPairs(readTrusted(file, process.getuid?.() ?? said.uid), file, localId);
    if (pairs.unknown.length > 0) logger.info({ file, names: pairs.unknown }, 'nobody here has these names');
    return mappedIds(pairs, nomap);
  };
  return {
    uids: read(uidfile, (name) => accounts.uidOf(name)),
    gids: read(gidfile, (name) => accounts.gidOf(name)),
  };
}

/** The names of this machine; with idmap=user the name that the server is told stands for who mounts. */
export function accountsOf({ accounts, idmap, uname, uid, gid, showUid, showGid }: MountSettings): Accounts {
  if (accounts !== undefined) return accounts;
  if (idmap !== 'user' || uname === '') return new Accounts();
  return new Accounts(undefined, { name: uname, uid: showUid ?? uid, gid: showGid ?? gid });
}

/** The policy of a mount whose root has been seen. `byName`: the names of accountsOf() have mapped everything. */
export function ownersOf(settings: MountSettings, maps: IdMaps, root: FileStat, byName: boolean): Owners {
  const { access, dfltuid, dfltgid, showUid, showGid, umask } = settings;
  return {
    ...maps,
    // what the server's user is at the server: who is attached as, or else who has the tree that was attached to
    ...(settings.idmap === 'user' &&
      !byName && {
        uids: oneId(typeof access === 'number' ? access : root.uid, showUid ?? settings.uid),
        gids: oneId(root.gid, showGid ?? settings.gid),
      }),
    dfltuid,
    dfltgid,
    showUid,
    showGid,
    fmask: settings.fmask ?? umask,
    dmask: settings.dmask ?? umask,
    chownIgnored: settings.chown === 'ignore',
  };
}
