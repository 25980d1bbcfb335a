// 9P2000.L: Linux's calls and Linux's numbers.

import { dotlCodec } from '../../wire/p9/codec.ts';
import { VERSION } from '../../wire/p9/constants.ts';
import { getattr, setattr, statfs } from '../handlers/attr.ts';
import { mkdir, mknod, readdir, remove, rename, renameat, unlinkat } from '../handlers/dir.ts';
import { fsync, read, write } from '../handlers/io.ts';
import { link, readlink, symlink } from '../handlers/link.ts';
import { getlock, lock } from '../handlers/lock.ts';
import { lcreate, lopen } from '../handlers/open.ts';
import { attach, auth, clunk } from '../handlers/session.ts';
import { walk } from '../handlers/walk.ts';
import { xattrcreate, xattrwalk } from '../handlers/xattr.ts';
import { type Dialect, lookUp } from './dialect.ts';

export const dotl: Dialect = {
  version: VERSION.dotl,
  codec: dotlCodec,
  handlerOf: lookUp({
    Tauth: auth,
    Tattach: attach,
    Tclunk: clunk,
    Twalk: walk,
    Tlopen: lopen,
    Tlcreate: lcreate,
    Tread: read,
    Twrite: write,
    Tfsync: fsync,
    Tgetattr: getattr,
    Tsetattr: setattr,
    Tstatfs: statfs,
    Treaddir: readdir,
    Tmkdir: mkdir,
    Tmknod: mknod,
    Tunlinkat: unlinkat,
    Tremove: remove,
    Trename: rename,
    Trenameat: renameat,
    Tlink: link,
    Tsymlink: symlink,
    Treadlink: readlink,
    Tlock: lock,
    Tgetlock: getlock,
    Txattrwalk: xattrwalk,
    Txattrcreate: xattrcreate,
  }),
  refusal: (ecode) => ({ name: 'Rlerror', body: { ecode } }),
};
