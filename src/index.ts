// The public surface, and nothing else: a 9P client, a mount, an embedded server with its trees, and the errors that all
// of them use. What is not exported here may change at any time.

export { type Mount, type MountEnd, type MountStats, mount } from './bridge/mount.ts';
export type { NoMap } from './bridge/owners/ids.ts';
export {
  type AccessMode,
  type CacheMode,
  type Driver,
  defaultSettings,
  type GivenSettings,
  type IdMapping,
  type InterruptMode,
  type MountSettings,
  type VersionChoice,
} from './bridge/settings.ts';
export { type AccountFiles, Accounts, type Alias } from './client/accounts.ts';
export type { ConnectionStats } from './client/connection.ts';
export type { Dialect, FileStat, FileSystemStat, ListedDirent, StatChange } from './client/dialects/dialect.ts';
export type { Fid } from './client/fids.ts';
export { type ReadData, type ReadOptions, read, write } from './client/io.ts';
export { connect, Session, type SessionOptions } from './client/session.ts';
export { Abort, type AbortSignalLike } from './common/abort.ts';
export { errno, errnoName } from './common/errno.ts';
export { CancelledError, ConfigError, ConnectionError, ErrnoError, ProtocolError } from './common/errors.ts';
export { type Logger, silent } from './common/log.ts';
export { decodeText, encodeText } from './common/text.ts';
export {
  type BehaviourOptions,
  type ClientUsers,
  type DialectName,
  type FidKindName,
  hostTree,
  memoryTree,
  parseUserMap,
  type ServeOptions,
  Server,
  type ServerOptions,
  type Serving,
  serve,
  type Tree,
  type UserMap,
} from './server/server.ts';
export { type Address, formatAddress, parseAddress } from './transport/address.ts';
