// Names, targets and attributes' names that are not UTF-8 are names like others, in every dialect and tree: what is made under
// one is found, listed, renamed and removed under it, and under no other; the host tree gives the machine the very bytes.

import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { decodeText, encodeText } from '../../src/common/text.ts';
import { AT_REMOVEDIR, DM } from '../../src/wire/p9/constants.ts';
import { eachTree } from '../support/eachtree.ts';
import { create, createErrno, eachPlan9, get, list, mkdir, open, put, stat, wstat } from '../support/plan9.ts';

const named = (...bytes: number[]) => decodeText(Buffer.from(bytes));
const odd: [what: string, name: string][] = [
  ['a byte that begins nothing', named(0xff)],
  ['Latin-1', named(0x63, 0x61, 0x66, 0xe9)],
  ['a surrogate in UTF-8', named(0xed, 0xa0, 0x80)],
  ['an overlong slash', named(0x2e, 0x2e, 0xc0, 0xaf)],
  ['beyond Unicode, beside what is within', named(0xf4, 0x90, 0x80, 0x80, 0xc3, 0xa9)],
];
const other = named(0xfe);

function sorted(names: readonly (string | undefined)[]): string[] {
  return names.filter((name): name is string => name !== undefined && name !== '.' && name !== '..').sort();
}

/** What the machine has in the directory that is served; as the client sees it where the tree is in memory. */
function onDisk(directory: string | undefined, seen: readonly string[]): Buffer[] {
  const names = directory === undefined ? seen.map(encodeText) : readdirSync(directory, { encoding: 'buffer' });
  return [...names].sort(Buffer.compare);
}

eachTree((t) => {
  const root = async () => sorted(await t.names(await t.raw.open('')));

  describe.each(odd)('a name with %s', (_what, name) => {
    test('is made, found, listed, renamed and removed', async () => {
      await t.put(name, 'text');
      await t.put(other, 'another');
      expect([await t.get(name), await t.get(other)]).toEqual(['text', 'another']);
      const seen = await root();
      expect(seen).toEqual(sorted([name, other]));
      expect(onDisk(t.served.directory, seen)).toEqual([encodeText(name), encodeText(other)].sort(Buffer.compare));
      const move = (oldname: string, newname: string) =>
        t.raw.errno('Trenameat', { olddirfid: 0, oldname, newdirfid: 0, newname });
      expect(await move(name, 'plain')).toBe(0);
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: [name] })).toBe(errno.ENOENT);
      expect(await move('plain', name)).toBe(0);
      const fid = await t.raw.walk(name);
      await t.raw.call('Trename', { fid, dfid: 0, name: `${name}2` });
      expect(await t.get(`${name}2`)).toBe('text');
      await t.raw.call('Tlink', { dfid: 0, fid, name });
      expect((await t.raw.getattr(await t.raw.walk(name))).nlink).toBe(2);
      for (const each of [name, `${name}2`, other]) expect(await t.unlink(each)).toBe(0);
      expect(await root()).toEqual([]);
    });

    test('is that of a directory, of what is in it, and of a symbolic link and its target', async () => {
      const dir = await t.mkdir(name);
      await t.put(name, 'text', dir);
      expect(await t.get(`${name}/${name}`)).toBe('text');
      const target = `${name}/${name}`;
      await t.raw.call('Tsymlink', { dfid: 0, name: `l${name}`, target, gid: 0 });
      const link = await t.raw.walk(`l${name}`);
      expect((await t.raw.call('Treadlink', { fid: link })).target).toBe(target);
      expect((await t.raw.getattr(link)).size).toBe(encodeText(target).length);
      if (t.served.directory !== undefined) {
        const path = Buffer.concat([Buffer.from(`${t.served.directory}/`), encodeText(`l${name}`)]);
        expect(readlinkSync(path, { encoding: 'buffer' })).toEqual(encodeText(target));
      }
      expect(await t.unlink(name, 0, dir)).toBe(0);
      expect(await t.unlink(name, AT_REMOVEDIR)).toBe(0);
    });

    test('is that of an extended attribute', async () => {
      await t.put('f', '');
      const attribute = `user.${name}`;
      const set = await t.raw.walk('f');
      await t.raw.call('Txattrcreate', { fid: set, name: attribute, size: 1, flags: 0 });
      await t.raw.write(set, 'v');
      await t.raw.clunk(set);
      const fid = await t.raw.walk('f');
      const [value, all] = [t.raw.fid(), t.raw.fid()];
      await t.raw.call('Txattrwalk', { fid, newfid: value, name: attribute });
      expect(String(await t.raw.read(value))).toBe('v');
      await t.raw.call('Txattrwalk', { fid, newfid: all, name: '' });
      expect((await t.raw.read(all)).includes(encodeText(`${attribute}\0`))).toBe(true);
      expect(await t.raw.errno('Txattrwalk', { fid, newfid: 7, name: `user.${other}` })).toBe(errno.ENODATA);
    });
  });

  test('255 bytes are a name, 256 are too many', async () => {
    const longest = '\udcff'.repeat(255);
    await t.put(longest, 'text');
    expect(await t.get(longest)).toBe('text');
    expect(await root()).toEqual([longest]);
    expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: [`${longest}\udcff`] })).toBe(errno.ENAMETOOLONG);
    expect(await t.raw.errno('Tmkdir', { dfid: 0, name: `${longest}x`, mode: 0o700, gid: 0 })).toBe(errno.ENAMETOOLONG);
  });

  test('the lengths of targets and of attributes count bytes', async () => {
    const symlink = (name: string, target: string) => t.raw.errno('Tsymlink', { dfid: 0, name, target, gid: 0 });
    expect(await symlink('l', '\udcff'.repeat(4095))).toBe(0);
    expect((await t.raw.call('Treadlink', { fid: await t.raw.walk('l') })).target).toBe('\udcff'.repeat(4095));
    expect(await symlink('m', '\udcff'.repeat(4096))).toBe(errno.ENAMETOOLONG);
    await t.put('f', '');
    for (const [stray, ecode] of [
      [250, errno.ENODATA],
      [251, errno.ERANGE],
    ] as const) {
      const name = `user.${'\udcff'.repeat(stray)}`;
      const fid = await t.raw.walk('f');
      expect(await t.raw.errno('Txattrwalk', { fid, newfid: 7, name })).toBe(ecode);
      const refused = await t.raw.errno('Txattrcreate', { fid, name, size: 1, flags: 0 });
      expect(refused).toBe(stray === 250 ? 0 : errno.ERANGE);
      if (refused === 0) await t.raw.write(fid, 'v');
      await t.raw.clunk(fid);
    }
  });

  test('a listing in small pieces has every name once', async () => {
    const names = Array.from({ length: 60 }, (_, i) => `${'\udcff'.repeat(i + 1)}é${i}`);
    for (const name of names) await t.put(name, '');
    for (const count of [128, 300, 65536]) {
      const listed = await t.raw.list(await t.raw.open(''), count);
      expect(sorted(listed.map(({ name }) => name))).toEqual(sorted(names));
    }
  });

  test('what 9P does not allow in a name is refused in such names too', async () => {
    expect(await t.raw.errno('Tmkdir', { dfid: 0, name: '\udcff/\udcff', mode: 0o700, gid: 0 })).toBe(errno.EINVAL);
    expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: ['\udcff/'] })).toBe(errno.ENOENT);
  });
});

eachPlan9((t) => {
  test.each(odd)('a name with %s is made, found, listed, renamed and removed', async (_what, name) => {
    const { raw } = t;
    await put(raw, name, 'text');
    await put(raw, other, 'another');
    expect([await get(raw, name), await get(raw, other)]).toEqual(['text', 'another']);
    expect(sorted(await t.names(await open(raw, '')))).toEqual(sorted([name, other]));
    expect(await createErrno(raw, name)).toBe(errno.EEXIST);
    const fid = await raw.walk(name);
    expect(await stat(raw, fid)).toMatchObject({ name });
    await wstat(raw, fid, { name: `${name}2` });
    expect(await get(raw, `${name}2`)).toBe('text');
    if (t.served.directory !== undefined) {
      const names = readdirSync(t.served.directory, { encoding: 'buffer' });
      expect(names.sort(Buffer.compare)).toEqual([encodeText(`${name}2`), encodeText(other)].sort(Buffer.compare));
    }
    await raw.call('Tremove', { fid });
    await raw.clunk(await mkdir(raw, name));
    await put(raw, name, '', { dir: await raw.walk(name) });
    expect((await list(raw, await open(raw, name), t.version)).map((entry) => entry.name)).toEqual([name]);
  });

  test.runIf(t.extended)('a symbolic link to such a name', async () => {
    const target = `../${odd[1]?.[1]}`;
    const fid = await create(t.raw, 'l', { perm: (DM.SYMLINK | 0o777) >>> 0, mode: 0, extension: target });
    expect(await stat(t.raw, fid)).toMatchObject({ name: 'l', extension: target });
    if (t.served.directory !== undefined) {
      expect(readlinkSync(join(t.served.directory, 'l'), { encoding: 'buffer' })).toEqual(encodeText(target));
    }
  });
});
