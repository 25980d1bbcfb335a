// Branded numbers: a Fid cannot be passed where a Tag is meant. The brands exist in types only.

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** 9P tag, u16; 0xffff is NOTAG. */
export type Tag = Branded<number, 'Tag'>;
/** 9P fid number, u32; 0xffffffff is NOFID. */
export type FidNumber = Branded<number, 'FidNumber'>;
/** FUSE node id; the kernel's u64, ours stay below 2^53. 1 is the root. */
export type NodeId = Branded<number, 'NodeId'>;
/** FUSE request id; the kernel's u64, even, below 2^53 in any lifetime of a mount. */
export type Unique = Branded<number, 'Unique'>;
/** FUSE open-file handle (`fh`), chosen by us, below 2^53. */
export type FileHandle = Branded<number, 'FileHandle'>;
