// `ninefs serve`: the embedded 9P server on a directory or on an empty tree in memory, until a signal ends it.
// Guarantees: the first line of stdout names the address with its real port, once connections are accepted; a socket
// file of its own that nobody listens on any more is replaced, any other file is not; its socket file goes when it does.

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError } from '../common/errors.ts';
import {
  BEHAVIOURS,
  type BehaviourOptions,
  DIALECT_NAMES,
  type DialectName,
  faultsTree,
  hostTree,
  type Limits,
  memoryTree,
  oneOf,
  serve,
  type Tree,
} from '../server/server.ts';
import { formatAddress, parseAddress } from '../transport/address.ts';
import { clearSocket, untilSignal, warnWhenOpen } from './listening.ts';
import { type Level, openLog } from './logging.ts';
import { EXIT } from './report.ts';
import { checkReach, clientUsers, reach } from './serveusers.ts';

export interface ServeFlags {
  listen: string;
  readonly?: true;
  users?: string;
  dev?: true;
  suid?: true;
  size?: number;
  memory?: number;
  maxConnections?: number;
  maxFids?: number;
  maxFiles?: number;
  dialects?: string;
  fids?: string;
  append?: string;
  fsync?: string;
  wstat?: string;
  log?: string;
  loglevel?: Level;
}

/** Above 1024, so that no privilege is needed; 564 is what clients assume. */
const SERVE_PORT = 5640;

/** Trees that are not directories of the host. */
const TREES: Readonly<Record<string, (size: number | undefined) => Tree>> = {
  'memory:': (size) => memoryTree(size === undefined ? {} : { capacity: size }),
  'faults:': faultsTree,
};
const NAMES = Object.keys(TREES).join(' or ');

function checkDirectory(path: string): void {
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'no such directory' : code === 'EACCES' ? 'permission denied' : `${code}`;
    throw new ConfigError(`cannot serve ${path}: ${why}; name a directory, or ${NAMES}`, EXIT.failure, {
      cause: error,
    });
  }
  if (!isDirectory) {
    throw new ConfigError(`cannot serve ${path}: not a directory; name a directory, or ${NAMES}`, EXIT.failure);
  }
}

/** Flags that mean something for a directory only. */
const HOST_FLAGS = ['readonly', 'dev', 'suid'] as const;

function treeOf(text: string, flags: ServeFlags): Tree {
  if (flags.size !== undefined && text !== 'memory:') {
    throw new ConfigError(`--size: ${text} is not memory:, which is what has a size`);
  }
  for (const [name, make] of Object.entries(TREES)) {
    if (text === name) {
      const given = HOST_FLAGS.find((flag) => flags[flag] === true);
      if (given !== undefined) throw new ConfigError(`--${given}: ${name} is not a directory; serve a directory`);
      return make(flags.size);
    }
    if (text.startsWith(name)) throw new ConfigError(`'${text}': nothing follows ${name}; write ${name}`);
  }
  checkDirectory(text);
  const { readonly = false, dev = false, suid = false } = flags;
  return hostTree(resolve(text), { readOnly: readonly, nodev: !dev, nosuid: !suid });
}

function dialectsIn(list: string): DialectName[] {
  return list.split(',').map((text) => {
    const known = DIALECT_NAMES.find((name) => name.toLowerCase() === text.trim().toLowerCase());
    if (known !== undefined) return known;
    throw new ConfigError(`--dialects: there is no '${text}'; name some of ${DIALECT_NAMES.join(',')}`);
  });
}

/** The bounds that were given. */
function limitsIn({ memory, maxConnections, maxFids, maxFiles }: ServeFlags): Partial<Limits> {
  return {
    ...(memory !== undefined && { memory }),
    ...(maxConnections !== undefined && { connections: maxConnections }),
    ...(maxFids !== undefined && { fids: maxFids }),
    ...(maxFiles !== undefined && { files: maxFiles }),
  };
}

function behaviourIn({ fids, append, fsync, wstat }: ServeFlags): BehaviourOptions {
  return {
    fids: oneOf('--fids', BEHAVIOURS.fids, fids),
    append: oneOf('--append', BEHAVIOURS.append, append),
    fsync: oneOf('--fsync', BEHAVIOURS.fsync, fsync),
    wstat: oneOf('--wstat', BEHAVIOURS.wstat, wstat),
  };
}

/** Settles with the exit code when a signal has ended the server. */
export async function serveCommand(text: string, flags: ServeFlags): Promise<number> {
  const address = parseAddress(flags.listen, SERVE_PORT);
  const dialects = flags.dialects === undefined ? DIALECT_NAMES : dialectsIn(flags.dialects);
  checkReach(address, flags.users);
  const users = clientUsers(flags.users ?? 'peer');
  const limits = limitsIn(flags);
  const behaviour = behaviourIn(flags);
  const tree = treeOf(text, flags);
  const log = openLog({ level: flags.loglevel ?? 'info', ...(flags.log === undefined ? {} : { file: flags.log }) });
  const ending = untilSignal();
  try {
    if (address.kind === 'unix') await clearSocket(address.path);
    const server = await serve({
      ...{ address, tree, dialects, users, limits, ...behaviour },
      logger: log.child('server'),
    });
    const may = reach(users);
    if (may !== undefined) warnWhenOpen(server.address, may);
    process.stdout.write(`listening on ${formatAddress(server.address)}\n`);
    const signal = await ending;
    log.logger.info({ signal }, 'ending');
    await server.close();
    return EXIT.ok;
  } finally {
    log.flush();
  }
}
