// In which directory names are found, made and removed through a fid, where another directory is at its path by now,
// and what a rename does to paths: in every kind of fids.

import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { GETATTR, OPEN, SETATTR } from '../../src/wire/p9/constants.ts';
import { eachKind, type KindStage, WITH_AT } from '../support/eachkind.ts';
import { asRoot } from '../support/eachtree.ts';
import { hit } from '../support/witness.ts';

const ALICE = 54321;
/** Where the directory is that a fid was made of, and the one that has its path by now. */
const DIRECTORIES = { meant: 'moved', innocent: 'd' } as const;

/** Which of the two directories the name is in. */
async function holders(t: KindStage, name: string): Promise<string> {
  const found: string[] = [];
  for (const [who, dir] of Object.entries(DIRECTORIES)) {
    const fid = t.other.fid();
    const { qids } = await t.other.call('Twalk', { fid: 0, newfid: fid, names: [dir, name] });
    if (qids.length < 2) continue;
    found.push(who);
    await t.other.clunk(fid);
  }
  return found.join(' and ') || 'none';
}

type Acts = Readonly<Record<string, (t: KindStage, dfid: number) => Promise<string>>>;

/** What finds, makes and moves names in the directory of a fid; each says in which directory that was. */
const acts: Acts = {
  async walk(t, dfid) {
    const fid = await t.raw.walk('x', dfid);
    await t.raw.call('Tlopen', { fid, flags: 0 });
    return (await t.raw.read(fid)).toString();
  },
  async create(t, dfid) {
    await t.raw.create(dfid, 'created');
    return holders(t, 'created');
  },
  async mkdir(t, dfid) {
    await t.raw.call('Tmkdir', { dfid, name: 'dir', mode: 0o755, gid: 0 });
    return holders(t, 'dir');
  },
  async mknod(t, dfid) {
    await t.raw.call('Tmknod', { dfid, name: 'node', mode: 0o100644, major: 0, minor: 0, gid: 0 });
    return holders(t, 'node');
  },
  async symlink(t, dfid) {
    await t.raw.call('Tsymlink', { dfid, name: 'symlink', target: 'x', gid: 0 });
    return holders(t, 'symlink');
  },
  async link(t, dfid) {
    await t.put('target', '');
    await t.raw.call('Tlink', { dfid, fid: await t.raw.walk('target'), name: 'link' });
    return holders(t, 'link');
  },
  async 'rename to it'(t, dfid) {
    await t.put('moving', '');
    await t.raw.call('Trename', { fid: await t.raw.walk('moving'), dfid, name: 'renamed' });
    return holders(t, 'renamed');
  },
};

/** Those that not every kind has. */
const actsAt: Acts = {
  async 'renameat to it'(t, newdirfid) {
    await t.put('moving', '');
    await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'moving', newdirfid, newname: 'arrived' });
    return holders(t, 'arrived');
  },
  async renameat(t, olddirfid) {
    await t.raw.call('Trenameat', { olddirfid, oldname: 'x', newdirfid: olddirfid, newname: 'y' });
    return holders(t, 'y');
  },
  async unlinkat(t, dirfid) {
    const before = await holders(t, 'z');
    await t.raw.call('Tunlinkat', { dirfid, name: 'z', flags: 0 });
    const left = await holders(t, 'z');
    expect(before).toBe('meant and innocent');
    return left === 'meant' ? 'innocent' : left === 'innocent' ? 'meant' : left;
  },
};

async function listed(t: KindStage, fid: number): Promise<string> {
  const names = (await t.raw.list(fid)).map(({ name }) => name);
  return (
    Object.keys(DIRECTORIES)
      .filter((who) => names.includes(`only-${who}`))
      .join(' and ') || names.join()
  );
}

/** The errno of a Tgetattr. */
const looked = (t: KindStage, fid: number) => t.raw.errno('Tgetattr', { fid, mask: GETATTR.ALL });

eachKind((t) => {
  const isPath = t.kind !== 'file';
  const hasAt = WITH_AT.includes(t.kind);

  describe('a directory that was moved, and another one at its path', () => {
    /** Fids of the first one. */
    async function staged(): Promise<{ unopened: number; open: number }> {
      const fill = async (dir: string, who: string) => {
        await t.mkdir(dir);
        for (const name of ['x', 'z', `only-${who}`]) await t.put(`${dir}/${name}`, who);
      };
      await fill('d', 'meant');
      const fids = { unopened: await t.raw.walk('d'), open: await t.raw.open('d') };
      await t.rename('d', DIRECTORIES.meant);
      await fill('d', 'innocent');
      return fids;
    }

    test.each(['unopened', 'open'] as const)('names, through a fid that is %s', async (which) => {
      const { [which]: fid } = await staged();
      for (const [name, act] of Object.entries(acts)) {
        expect(`${name}: ${await act(t, fid)}`).toBe(`${name}: ${isPath ? 'innocent' : 'meant'}`);
      }
      const there = isPath ? 'innocent' : 'meant';
      for (const [name, act] of Object.entries(actsAt)) {
        expect(`${name}: ${await hit(() => act(t, fid))}`).toBe(`${name}: ${hasAt ? there : 'EOPNOTSUPP'}`);
      }
    });

    test('a listing, through the fid that is open', async () => {
      const { open } = await staged();
      expect(await listed(t, open)).toBe(t.kind === 'path' ? 'innocent' : 'meant');
    });

    test('what is walked to from the fid is a path from there', async () => {
      const { unopened } = await staged();
      const fid = await t.raw.walk('x', unopened);
      await t.rename('d', 'gone');
      expect(await looked(t, fid)).toBe(isPath ? errno.ENOENT : 0);
      await t.rename('gone', 'd');
      expect(await looked(t, fid)).toBe(0);
    });

    test('.. takes the last name off', async () => {
      await t.mkdir('a');
      await t.mkdir('a/b');
      await t.mkdir('c');
      const fid = await t.raw.walk('a/b');
      await t.rename('a/b', 'c/b');
      await t.mkdir('a/b');
      await t.witness.watch('a', 'a');
      await t.witness.watch('c', 'c');
      const newfid = t.raw.fid();
      const { qids } = await t.raw.call('Twalk', { fid, newfid, names: ['..'] });
      expect(t.witness.named(qids[0]!)).toBe(isPath ? 'a' : 'c');
      expect(t.witness.named((await t.raw.getattr(newfid)).qid)).toBe(isPath ? 'a' : 'c');
      expect(await looked(t, await t.raw.walk('b', newfid))).toBe(0);
      // the name that was taken off is no part of the path
      await t.remove('a/b');
      expect(await looked(t, newfid)).toBe(0);
      const up = await t.raw.call('Twalk', { fid: newfid, newfid, names: ['..', '..', '..'] });
      expect(up.qids[2]?.path).toBe((await t.raw.getattr(0)).qid.path);
      expect(await looked(t, newfid)).toBe(0);
    });
  });

  describe('a directory that was moved, and nothing at its path', () => {
    test('names, through both fids', async () => {
      await t.mkdir('d');
      for (const name of ['x', 'z']) await t.put(`d/${name}`, 'meant');
      for (const fid of [await t.raw.walk('d'), await t.raw.open('d')]) {
        await t.rename('d', 'moved');
        for (const [name, act] of Object.entries(isPath ? acts : {})) {
          expect(`${name}: ${await hit(() => act(t, fid))}`).toBe(`${name}: ENOENT`);
        }
        await t.rename('moved', 'd');
      }
    });

    test('a listing', async () => {
      await t.mkdir('d');
      await t.put('d/only-meant', '');
      const open = await t.raw.open('d');
      await t.rename('d', 'moved');
      expect(await hit(() => listed(t, open))).toBe(t.kind === 'path' ? 'ENOENT' : 'meant');
    });
  });

  describe('Trename', () => {
    test('changes the path of the fid that it names, and of no other', async () => {
      await t.put('a', 'meant');
      const [named, another] = [await t.raw.walk('a'), await t.raw.walk('a')];
      const open = await t.raw.open('a');
      await t.raw.call('Trename', { fid: named, dfid: 0, name: 'b' });
      expect(await looked(t, named)).toBe(0);
      expect(await looked(t, another)).toBe(isPath ? errno.ENOENT : 0);
      expect(await looked(t, open)).toBe(t.kind === 'path' || t.kind === 'path-io' ? errno.ENOENT : 0);
      expect(await hit(async () => (await t.raw.read(open)).toString())).toBe(t.kind === 'path' ? 'ENOENT' : 'meant');
      // again, now that the fid is known to stand elsewhere
      await t.mkdir('d');
      await t.raw.call('Trename', { fid: named, dfid: await t.raw.walk('d'), name: 'c' });
      expect(await t.text('d/c')).toBe('meant');
      expect(await looked(t, named)).toBe(0);
    });

    test('through an open fid takes that one along', async () => {
      await t.put('a', 'meant');
      const open = await t.raw.open('a', OPEN.RDWR);
      await t.raw.call('Trename', { fid: open, dfid: 0, name: 'b' });
      await t.put('a', 'innocent');
      await t.witness.watch('meant', 'b');
      await t.witness.watch('innocent', 'a');
      expect(await t.witness.changedBy(() => t.raw.write(open, 'x'))).toBe('meant');
      expect(await t.witness.changedBy(() => t.raw.setattr(open, { valid: SETATTR.SIZE, size: 0 }))).toBe('meant');
    });

    test('of a directory does not change the paths below it', async () => {
      await t.mkdir('d');
      await t.put('d/a', 'meant');
      const [dir, below] = [await t.raw.walk('d'), await t.raw.walk('d/a')];
      await t.raw.call('Trename', { fid: dir, dfid: 0, name: 'e' });
      expect(await looked(t, dir)).toBe(0);
      expect(await looked(t, below)).toBe(isPath ? errno.ENOENT : 0);
      expect(await looked(t, await t.raw.walk('a', dir))).toBe(0);
    });

    test('moves what has the path now', async () => {
      await t.put('a', 'meant');
      const fid = await t.raw.walk('a');
      await t.rename('a', 'b');
      await t.put('a', 'innocent');
      await t.raw.call('Trename', { fid, dfid: 0, name: 'c' });
      expect(await t.text('c')).toBe(isPath ? 'innocent' : 'meant');
    });
  });

  test('Trenameat changes no path, where there is one', async () => {
    await t.put('a', 'meant');
    const fid = await t.raw.walk('a');
    const names = { olddirfid: 0, oldname: 'a', newdirfid: 0, newname: 'b' };
    expect(await t.raw.errno('Trenameat', names)).toBe(hasAt ? 0 : errno.EOPNOTSUPP);
    expect(await looked(t, fid)).toBe(t.kind === 'path-unopened' ? errno.ENOENT : 0);
    expect(await t.text(hasAt ? 'b' : 'a')).toBe('meant');
  });

  describe('Tremove', () => {
    test('removes what has the path now', async () => {
      await t.put('a', 'meant');
      const fid = await t.raw.walk('a');
      await t.rename('a', 'b');
      await t.put('a', 'innocent');
      await t.raw.call('Tremove', { fid });
      expect(await t.text('a')).toBe(isPath ? '' : 'innocent');
      expect(await t.text('b')).toBe(isPath ? 'meant' : '');
    });

    test('removes a directory at the path of a file', async () => {
      await t.put('a', 'meant');
      const fid = await t.raw.walk('a');
      await t.remove('a');
      await t.mkdir('a');
      expect(await t.raw.errno('Tremove', { fid })).toBe(isPath ? 0 : errno.ENOENT);
      expect(await t.raw.errno('Tmkdir', { dfid: 0, name: 'a', mode: 0o755, gid: 0 })).toBe(isPath ? 0 : errno.EEXIST);
    });

    test('lets the fid go also where the path leads nowhere', async () => {
      await t.put('a', 'meant');
      const fid = await t.raw.walk('a');
      await t.remove('a');
      expect(await t.raw.errno('Tremove', { fid })).toBe(errno.ENOENT);
      expect(await looked(t, fid)).toBe(errno.EBADF);
    });
  });

  test('the root has no name to lose', async () => {
    expect(await t.raw.errno('Trename', { fid: 0, dfid: 0, name: 'x' })).toBe(errno.EBUSY);
    expect(await t.raw.errno('Tremove', { fid: await t.raw.walk('') })).toBe(errno.EBUSY);
  });

  test('a fid whose path leads nowhere is cloned unless clones look', async () => {
    await t.put('a', 'meant');
    const fid = await t.raw.walk('a');
    await t.remove('a');
    const newfid = t.raw.fid();
    const refused = await t.raw.errno('Twalk', { fid, newfid, names: [] });
    expect(refused).toBe(t.kind === 'path' ? errno.ENOENT : 0);
    // whether it was made or not, its number can be had again
    if (refused === 0) await t.raw.clunk(newfid);
    expect(await t.raw.errno('Twalk', { fid: 0, newfid, names: [] })).toBe(0);
  });

  test('another name of the file is not its path', async () => {
    await t.put('a', 'meant');
    const fid = await t.raw.walk('a');
    await t.raw.call('Tlink', { dfid: 0, fid, name: 'b' });
    await t.remove('a');
    expect(await looked(t, fid)).toBe(isPath ? errno.ENOENT : 0);
  });

  test('a symbolic link that was made anew is another one', async () => {
    const make = (target: string) => t.raw.call('Tsymlink', { dfid: 0, name: 'l', target, gid: 0 });
    await make('meant');
    const fid = await t.raw.walk('l');
    await t.remove('l');
    await make('innocent');
    expect((await t.raw.call('Treadlink', { fid })).target).toBe(isPath ? 'innocent' : 'meant');
  });

  test('a file in the place of a directory on the way is no directory', async () => {
    await t.mkdir('d');
    await t.put('d/a', 'meant');
    const fid = await t.raw.walk('d/a');
    await t.rename('d', 'e');
    await t.put('d', 'innocent');
    expect(await looked(t, fid)).toBe(isPath ? errno.ENOTDIR : 0);
  });

  test('a fid is opened on what has its path, and stays on it', async () => {
    await t.put('a', 'meant');
    const fid = await t.raw.walk('a');
    await t.rename('a', 'b');
    await t.put('a', 'innocent');
    await t.witness.watch('meant', 'b');
    await t.witness.watch('innocent', 'a');
    const { qid } = await t.raw.call('Tlopen', { fid, flags: OPEN.RDWR });
    expect(t.witness.named(qid)).toBe(isPath ? 'innocent' : 'meant');
    await t.rename('a', 'c');
    if (t.kind !== 'path') {
      expect(await t.witness.changedBy(() => t.raw.write(fid, 'x'))).toBe(isPath ? 'innocent' : 'meant');
    }
    await t.rename('c', 'a');
    expect(await t.witness.changedBy(() => t.raw.write(fid, 'y'))).toBe(isPath ? 'innocent' : 'meant');
  });

  test('what was created by a fid has a path of its own', async () => {
    await t.mkdir('d');
    const dir = await t.raw.walk('d');
    const fid = await t.raw.create(dir, 'a');
    await t.raw.write(fid, 'meant');
    await t.raw.call('Trename', { fid: await t.raw.walk('d/a'), dfid: 0, name: 'b' });
    expect(await looked(t, fid)).toBe(t.kind === 'path' || t.kind === 'path-io' ? errno.ENOENT : 0);
    await t.rename('b', 'd/a');
    expect(await looked(t, fid)).toBe(0);
  });

  test('a directory at the path of an open file is neither read nor written', async () => {
    await t.put('a', 'meant');
    const fid = await t.raw.open('a', OPEN.RDWR);
    await t.remove('a');
    await t.mkdir('a');
    const there = t.kind === 'path' ? errno.EISDIR : 0;
    expect(await t.raw.errno('Tread', { fid, offset: 0, count: 10 })).toBe(there);
    expect(await t.raw.errno('Twrite', { fid, offset: 0, data: Buffer.from('x') })).toBe(there);
  });

  // the stage's check for leaks says whether the host's descriptor was closed
  test('what fails on another file at the path leaves nothing open', async () => {
    await t.put('a', 'meant');
    const fid = await t.raw.open('a', OPEN.RDWR);
    await t.rename('a', 'b');
    await t.put('a', 'innocent');
    const tooFar = { fid, offset: Number.MAX_SAFE_INTEGER - 1, data: Buffer.from('text') };
    expect(await t.raw.errno('Twrite', tooFar)).toBe(errno.EFBIG);
  });

  describe.skipIf(!asRoot)('as a user without privileges', () => {
    test('every directory on the way is searched', async () => {
      await t.mkdir('d');
      await t.put('d/a', 'meant');
      const alice = await t.served.connect({ uid: ALICE });
      const [unopened, open] = [await alice.walk('d/a'), await alice.open('d/a')];
      await t.other.setattr(await t.other.walk('d'), { valid: SETATTR.MODE, mode: 0o700 });
      const look = (fid: number) => alice.errno('Tgetattr', { fid, mask: GETATTR.ALL });
      expect(await look(unopened)).toBe(isPath ? errno.EACCES : 0);
      expect(await look(open)).toBe(t.kind === 'path' || t.kind === 'path-io' ? errno.EACCES : 0);
      const read = await alice.errno('Tread', { fid: open, offset: 0, count: 10 });
      expect(read).toBe(t.kind === 'path' ? errno.EACCES : 0);
    });

    test('another file at the path is opened with that user’s rights', async () => {
      const alice = await t.served.connect({ uid: ALICE });
      const fid = await alice.create(0, 'a', { mode: 0o400, gid: ALICE });
      await alice.write(fid, 'meant');
      expect((await alice.read(fid)).toString()).toBe('meant');
      await t.rename('a', 'b');
      await t.put('a', 'innocent');
      await t.other.setattr(await t.other.walk('a'), { valid: SETATTR.MODE, mode: 0o600 });
      const there = t.kind === 'path' ? errno.EACCES : 0;
      expect(await alice.errno('Tread', { fid, offset: 0, count: 10 })).toBe(there);
      expect(await alice.errno('Twrite', { fid, offset: 0, data: Buffer.from('x') })).toBe(there);
    });

    test('cutting a file by its path needs the right to write it', async () => {
      const alice = await t.served.connect({ uid: ALICE });
      const fid = await alice.create(0, 'a', { mode: 0o400, gid: ALICE });
      const refused = await alice.reply(
        alice.send('Tsetattr', {
          ...{ fid, valid: SETATTR.SIZE, mode: 0, uid: 0, gid: 0, size: 1 },
          ...{ atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0 },
        }),
      );
      const byPath = t.kind === 'path' || t.kind === 'path-io';
      expect(refused).toMatchObject(byPath ? { type: 'Rlerror', ecode: errno.EACCES } : { type: 'Rsetattr' });
    });
  });
});
