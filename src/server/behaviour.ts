// The ways in which the server can be told to behave like others: the meaning of fids, the place where appended bytes
// go, Tfsync, and the mode after a Twstat. The first value of each option is the server's own way.
// Guarantees: a value that does not exist is refused by name.
// Must not know how any of them is done: that is meaning.ts, opened.ts and plan9/wstat.ts.

import { ConfigError } from '../common/errors.ts';
import { FID_KINDS, type FidKind, type FidKindName } from './fidkinds.ts';

/** The values that each option takes, the default first. */
export const BEHAVIOURS = {
  /** The meaning of a fid; see the table in fidkinds.ts. */
  fids: Object.keys(FID_KINDS) as readonly FidKindName[],
  /**
   * A Twrite through a fid that was opened to append goes to the end of the file, or to the offset of the message
   * (nfs-ganesha, u9fs, go9p), or is refused with EIO (p9ufs).
   */
  append: ['end', 'offset', 'refuse'],
  /**
   * A Tfsync commits the open file; or it does so only while there is a file at the fid's path, and is ENOENT
   * otherwise (u9fs, go9p); or it commits files only, and is EISDIR for directories (nfs-ganesha).
   */
  fsync: ['file', 'path', 'eisdir'],
  /** A Twstat that leaves the mode alone changes nothing of it, or sets all its bits (plan9port's ramfs). */
  wstat: ['exact', 'all-ones'],
} as const;

export interface BehaviourOptions {
  readonly fids?: FidKindName;
  readonly append?: (typeof BEHAVIOURS.append)[number];
  readonly fsync?: (typeof BEHAVIOURS.fsync)[number];
  readonly wstat?: (typeof BEHAVIOURS.wstat)[number];
}

export interface Behaviour extends Required<Omit<BehaviourOptions, 'fids'>> {
  readonly kind: FidKind;
}

/** A value that is one of a few, the first of them where none is given. `option` is named in the error. */
export function oneOf<T extends string>(option: string, values: readonly T[], text: string | undefined): T {
  const known = text === undefined ? values[0] : values.find((value) => value === text);
  if (known !== undefined) return known;
  const list = `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
  throw new ConfigError(`${option}: there is no '${text}'; it takes ${list}`);
}

export function behaviourOf(options: BehaviourOptions): Behaviour {
  return {
    kind: FID_KINDS[oneOf('fids', BEHAVIOURS.fids, options.fids)],
    append: oneOf('append', BEHAVIOURS.append, options.append),
    fsync: oneOf('fsync', BEHAVIOURS.fsync, options.fsync),
    wstat: oneOf('wstat', BEHAVIOURS.wstat, options.wstat),
  };
}
