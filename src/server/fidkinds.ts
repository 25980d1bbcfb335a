// The kinds of fids that real servers have, as a table: a row is a kind, a column is a fact. A fid follows its file, or
// it is a path that is looked up again at every request.
// Guarantees: only the table knows the differences between the kinds; the rest of the server asks for a fact.
//
// A fid that follows its file does so through renames, also of the directories above it, and past its last name. A fid
// that is a path follows nothing: another file that gets the path is hit by what was meant for the first one. The only
// path that a rename changes is that of the fid that the Trename, or the Twstat of a name, was sent through.

/** `file`: a request goes to the file that the fid was walked to or opened on. `path`: to the one at its path now. */
export type By = 'file' | 'path';

/** A row. The columns up to `xattrs` are purposes of a request: by what it goes through an open fid. */
export interface FidKind {
  /** Walking, making, moving, removing, linking, statfs. An unopened fid goes by this one for every purpose. */
  readonly names: By;
  /** Tread, Twrite, Treaddir, Tlock, Tgetlock. */
  readonly io: By;
  /** Tfsync, and the Twstat that asks for nothing. */
  readonly fsync: By;
  /** Tgetattr and Tstat. */
  readonly attributes: By;
  /** Tsetattr, and any other Twstat. */
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
  // lionkov/go9p's ufs looks for the path ahead of everything, and then reads and writes the file that it has open
  'path':          { ...byPath, clonesLook: true, hasAt: false },
  // diod 1.0, u9fs
  'path-io':       { ...byPath, io: 'file', fsync: 'file', clonesLook: false, hasAt: false },
  // diod 1.1: all but extended attributes through the descriptor
  'path-unopened': { ...byFile, names: 'path', xattrs: 'path', clonesLook: false, hasAt: true },
} as const satisfies Readonly<Record<string, FidKind>>;

export type FidKindName = keyof typeof FID_KINDS;
