// 9P2000, as its manual pages have it: names for users, text for errors, no links and no special files. A symbolic link is
// shown as a file that cannot be opened; suid, sgid and sticky bits are neither shown nor changed.

import { errno } from '../../common/errno.ts';
import { strerror } from '../../common/strerror.ts';
import { legacyCodec } from '../../wire/p9/codec.ts';
import { DM, GETATTR, OMODE, VERSION } from '../../wire/p9/constants.ts';
import { attach } from '../handlers/session.ts';
import { walk } from '../handlers/walk.ts';
import { qidIn } from '../plan9/stat.ts';
import { refuse } from '../refuse.ts';
import { after } from '../tree.ts';
import { S } from '../trees/modes.ts';
import type { Forms } from './forms.ts';
import { plan9Dialect } from './plan9.ts';

const forms: Forms = {
  extended: false,
  omodes: OMODE.ACCMODE | OMODE.TRUNC | OMODE.CEXEC | OMODE.RCLOSE,
  permissions: 0o777,
  replaces: false,
  toDm: (mode) => ((mode & 0o777) | ((mode & S.IFMT) === S.IFDIR ? DM.DIR : 0)) >>> 0,
  fromDm: (dm, old) => (dm & 0o777) | (old & 0o7000),
  extension: () => '',
  /**
   * open(9P): no more for anybody than the directory gives, and the directory's group. That one is for its members only:
   * a host asks as whom it makes a file, and would let anybody in who comes with the directory's group.
   */
  birth: (dir, user, dm, signal) =>
    after(dir.getattr(GETATTR.BASIC, user, signal), ({ mode, gid }) => {
      const kept = dm & DM.DIR ? 0o777 : 0o666;
      return { mode: dm & 0o777 & (~kept | mode), gid: user.groups.includes(gid) ? gid : user.gid };
    }),
  owners: ({ uid, gid }, names) => ({
    uid: uid === '' ? undefined : (names.uid(uid) ?? refuse(errno.EINVAL)),
    gid: gid === '' ? undefined : (names.gid(gid) ?? refuse(errno.EINVAL)),
  }),
  makers: new Map(),
};

/** Plan 9's words, where it has some that Linux's clients know as well (net/9p/error.c). */
const words: ReadonlyMap<number, string> = new Map([
  [errno.ENOENT, 'file does not exist'],
  [errno.EACCES, 'permission denied'],
  [errno.EEXIST, 'file already exists'],
  [errno.ENOTDIR, 'not a directory'],
  [errno.ENOTEMPTY, 'directory is not empty'],
  [errno.EBADF, 'fid unknown or out of range'],
  [errno.ESPIPE, 'bad offset in directory read'],
  [errno.EAGAIN, 'exclusive use file already open'],
  [errno.EROFS, 'read only file system'],
  [errno.ENOSPC, 'file system is full'],
  [errno.EFBIG, 'file too big'],
  [errno.EIO, 'i/o error'],
]);

export const legacy = plan9Dialect(VERSION.legacy, legacyCodec, forms, (ecode) => words.get(ecode) ?? strerror(ecode), {
  Tattach: (session, message, request) =>
    after(attach(session, message, request), ({ qid }) => ({ qid: qidIn(forms, qid) })),
  Twalk(session, message, request) {
    // walk(9P): not from a fid that was opened
    const { kind } = session.fids.get(message.fid).state;
    if (kind !== 'walked') refuse(errno.EINVAL);
    return after(walk(session, message, request), ({ qids }) => ({ qids: qids.map((qid) => qidIn(forms, qid)) }));
  },
});
