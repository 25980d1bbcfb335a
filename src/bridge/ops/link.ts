// Links and special files: link, symlink, readlink, mknod.

import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import { byteLength } from '../../common/text.ts';
import type { Operations } from '../../fuse/operations.ts';
import { S_IFMT, S_IFREG } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import { finish } from '../finish.ts';
import { entryOf, look, lookedAtMade } from '../names/look.ts';
import { modeIn } from '../owners/acls.ts';
import { groupIn } from '../owners/privileges.ts';
import { checkName } from './walk.ts';

/** PATH_MAX, without the NUL. */
const LONGEST_TARGET = 4095;

export function linkOps(fs: Bridge): Pick<Operations, 'link' | 'symlink' | 'readlink' | 'mknod'> {
  return {
    async link(ctx, nodeid, newParentId, newName) {
      checkName(newName);
      const node = fs.nodes.get(nodeid);
      const parent = fs.nodes.get(newParentId);
      await fs.fids.sure(ctx, [parent, node], (dir, file) => fs.session.dialect.link(dir, file, newName, ctx.signal));
      // both names are the same file from here on, which the old count of links would not show
      node.changed({ nlink: node.stat.nlink + 1 });
      return entryOf(fs, await finish(fs, ctx, (rest) => look(fs, rest, parent, newName, node)));
    },

    async symlink(ctx, parentId, name, target) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      const group = groupIn(fs, ctx, parent);
      const qid = await fs.fids.sure(ctx, [parent], (dir) =>
        fs.session.dialect.symlink(dir, name, target, group, ctx.signal),
      );
      return lookedAtMade(fs, ctx, { parent, name, qid });
    },

    async readlink(ctx, nodeid) {
      const { dialect } = fs.session;
      const target = await fs.fids.checked(ctx, fs.nodes.get(nodeid), (fid) => dialect.readlink(fid, ctx.signal));
      const length = byteLength(target);
      // the kernel refuses a longer reply, and its caller would get EIO
      if (length > LONGEST_TARGET) throw new ErrnoError(errno.ENAMETOOLONG, `the target of a link, ${length} bytes`);
      return target;
    },

    async mknod(ctx, parentId, name, mode, rdev, umask) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      // FUSE's rdev is new_encode_dev's (include/linux/kdev_t.h); Tmknod wants the two numbers
      const major = (rdev >>> 8) & 0xfff;
      const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
      const kept = (mode & S_IFMT) | ((await modeIn(fs, ctx, parent, mode, umask)) & 0o7777);
      const group = groupIn(fs, ctx, parent);
      const qid = await fs.fids.sure(ctx, [parent], (dir) =>
        fs.session.dialect.mknod(dir, name, kept, major, minor, group, ctx.signal),
      );
      const isNew = (mode & S_IFMT) === S_IFREG && fs.users.makesForOthers(ctx);
      return lookedAtMade(fs, ctx, { parent, name, qid, mode: kept, isNew });
    },
  };
}
