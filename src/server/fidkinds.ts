// What the fids of a server mean, in the kinds that real servers have: a fid follows its file, or it is a path that is
// looked up again at every request. A row is a kind, a column is a fact.
// Guarantees: only the table knows in what the kinds differ; the rest of the server asks for a fact.
//
// A fid that follows its file does so through renames, also of the directories above it, and past its last name. A fid
// that is a path follows nothing: another file that gets the path is hit by what was meant for the first one. The only
// path that a rename changes is that of the fid that the Trename, or the Twstat of a name, was sent through.

/** `file`: the file that the fid was walked to or opened on. `path`: what has its path at the time of the request. */
export type By = 'file' | 'path';

/** What a request does, as far as the kinds treat it otherwise on an open fid. */
export interface FidKind {
  /** An unopened fid, for everything; an open one for what goes by names (walking, making, removing, statfs). */
  readonly names: By;
  /** Tread, Twrite, Treaddir, Tlock and Tgetlock. */
  readonly io: By;
  /** Tfsync, and the Twstat that asks for nothing. */
  readonly fsync: By;
  /** Tgetattr and Tstat. */
  readonly attributes: By;
  /** Tsetattr, and all else of Twstat. */
  readonly changes: By;
  /** Txattrwalk; a fid that Txattrcreate turns around was not open. */
  readonly xattrs: By;
  /** Whether a walk of no names looks whether there is still something at the path. */
  readonly clonesLook: boolean;
  /** Whether there are Trenameat and Tunlinkat; EOPNOTSUPP if not. */
  readonly hasAt: boolean;
}

export type Purpose = Exclude<keyof FidKind, 'clonesLook' | 'hasAt'>;

const byFile = {
  names: 'file',
  io: 'file',
  fsync: 'file',
  attributes: 'file',
  changes: 'file',
  xattrs: 'file',
} as const;
const byPath = {
  names: 'path',
  io: 'path',
  fsync: 'path',
  attributes: 'path',
  changes: 'path',
  xattrs: 'path',
} as const;

// biome-ignore format: a table
export const FID_KINDS = {
  'file':          { ...byFile, clonesLook: false, hasAt: true },
  // lionkov/go9p's ufs, which looks for the path ahead of everything; it then reads and writes what it has open
  'path':          { ...byPath, clonesLook: true, hasAt: false },
  // diod 1.0, u9fs
  'path-io':       { ...byPath, io: 'file', fsync: 'file', clonesLook: false, hasAt: false },
  // diod 1.1: all but extended attributes through the descriptor
  'path-unopened': { ...byFile, names: 'path', xattrs: 'path', clonesLook: false, hasAt: true },
} as const satisfies Readonly<Record<string, FidKind>>;

export type FidKindName = keyof typeof FID_KINDS;
