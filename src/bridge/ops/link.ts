// Links and special files: link, symlink, readlink, mknod.

import type { Operations } from '../../fuse/operations.ts';
import { modeIn } from '../acls.ts';
import { S_IFMT } from '../attrs.ts';
import type { Bridge } from '../bridge.ts';
import { checkName } from './walk.ts';

export function linkOps(fs: Bridge): Pick<Operations, 'link' | 'symlink' | 'readlink' | 'mknod'> {
  const { dialect } = fs.session;
  return {
    async link(ctx, nodeid, newParentId, newName) {
      checkName(newName);
      const node = fs.nodes.get(nodeid);
      const parent = fs.nodes.get(newParentId);
      await fs.withFids(ctx, [parent, node], (dir, file) => dialect.link(dir, file, newName, ctx.signal));
      // both names are the same file from here on, which the old count of links would not show
      node.stat = { ...node.stat, nlink: node.stat.nlink + 1 };
      return fs.entry(await fs.finish(ctx, (rest) => fs.look(rest, parent, newName, node)));
    },

    async symlink(ctx, parentId, name, target) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      await dialect.symlink(await fs.fid(ctx, parent), name, target, fs.groupIn(ctx, parent), ctx.signal);
      return fs.made(ctx, parent, name);
    },

    async readlink(ctx, nodeid) {
      return fs.session.dialect.readlink(await fs.fid(ctx, fs.nodes.get(nodeid)), ctx.signal);
    },

    async mknod(ctx, parentId, name, mode, rdev, umask) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      // FUSE's rdev is new_encode_dev's (include/linux/kdev_t.h); Tmknod wants the two numbers
      const major = (rdev >>> 8) & 0xfff;
      const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
      const kept = (mode & S_IFMT) | ((await modeIn(fs, ctx, parent, mode, umask)) & 0o7777);
      const group = fs.groupIn(ctx, parent);
      await fs.withFids(ctx, [parent], (dir) => dialect.mknod(dir, name, kept, major, minor, group, ctx.signal));
      return fs.made(ctx, parent, name, kept);
    },
  };
}
