// What `--users` of `ninefs serve` means, and what it has to be said for.
// Guarantees: text that means nothing is a ConfigError that says what would; a file counts only if nobody but root and the
// server's own user could have written it.

import { readTrusted } from '../bridge/owners/owners.ts';
import { ConfigError } from '../common/errors.ts';
import { type ClientUsers, parseUserMap, Users } from '../server/server.ts';
import { type Address, formatAddress } from '../transport/address.ts';
import { isLoopback } from './listening.ts';
import { nearest } from './nearest.ts';

const TAKES = 'peer, trust, squash=UID[:GID] or a file';
const SQUASH = 'squash';

function squash(text: string, users: Users): ClientUsers {
  const [, user = '', group] = /^squash=([^:]+)(?::([^:]+))?$/.exec(text) ?? [];
  const { names } = users;
  const uid = names.uid(user);
  const gid = group === undefined ? undefined : names.gid(group);
  if (uid === undefined || (group !== undefined && gid === undefined)) {
    throw new ConfigError(`--users=${text}: it takes squash=UID[:GID], of a user and a group of this machine`);
  }
  return { kind: 'squash', uid, ...(gid !== undefined && { gid }) };
}

export function clientUsers(text: string, users: Users = new Users()): ClientUsers {
  if (text === 'peer' || text === 'trust') return { kind: text };
  if (text === SQUASH || text.startsWith(`${SQUASH}=`)) return squash(text, users);
  const near = text.includes('/') ? undefined : nearest(text, ['peer', 'trust', SQUASH]);
  if (near !== undefined) throw new ConfigError(`--users=${text}: it takes ${TAKES}; did you mean ${near}?`);
  try {
    const { names } = users;
    return { kind: 'map', map: parseUserMap(readTrusted(text, process.getuid?.() ?? 0), text, names.uid) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`--users takes ${TAKES}: ${error.message}`, error.exitCode, { cause: error });
  }
}

/** Clients of other machines cannot be told, so that it has to be said what they may be. */
export function checkReach(address: Address, given: string | undefined): void {
  if (given !== undefined || isLoopback(address)) return;
  throw new ConfigError(
    `other machines reach ${formatAddress(address)}, and who their users are cannot be told: say whom they may be, ` +
      'with --users=squash=UID or --users=trust, or keep them out with --users=peer',
  );
}

/** What whoever reaches the address can do; undefined where that is nothing. */
export function reach(clients: ClientUsers): string | undefined {
  if (clients.kind === 'squash') return `can use the tree as uid ${clients.uid}`;
  return clients.kind === 'trust' ? 'can use the tree as whoever they say' : undefined;
}
