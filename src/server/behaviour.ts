// In what the server can be told to behave like others: what its fids mean, where appended bytes go, what a Tfsync
// finds, and what a Twstat leaves behind. The first value of each is how this server is of itself.
// Must not know how any of them is done: that is meaning.ts, opened.ts and plan9/wstat.ts.

import { ConfigError } from '../common/errors.ts';
import { FID_KINDS, type FidKind, type FidKindName } from './fidkinds.ts';

/** The values that each option takes, the default first. */
export const BEHAVIOURS = {
  /** What a fid means; see the table in fidkinds.ts. */
  fids: Object.keys(FID_KINDS) as readonly FidKindName[],
  /**
   * Where a Twrite lands whose fid was opened to append: at the end of the file, at the offset of the message
   * (nfs-ganesha, u9fs, go9p), or nowhere, with EIO (p9ufs).
   */
  append: ['end', 'offset', 'refuse'],
  /**
   * What a Tfsync commits: the open file; that too, but only while there is a file at the fid's path, else ENOENT
   * (u9fs, go9p); or files only, with EISDIR for directories (nfs-ganesha).
   */
  fsync: ['file', 'path', 'eisdir'],
  /** What a Twstat that leaves the mode alone does to it: nothing, or all bits are set (plan9port's ramfs). */
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
