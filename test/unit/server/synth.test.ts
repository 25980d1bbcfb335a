// The tree made of functions, through the protocol.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { CancelledError, ErrnoError } from '../../../src/common/errors.ts';
import { control, directory, file, synthTree, text } from '../../../src/server/trees/synth.ts';
import { OPEN } from '../../../src/wire/p9/constants.ts';
import type { Raw9p } from '../../support/raw9p.ts';
import { serveAny } from '../../support/served.ts';

let served: ReturnType<typeof serveAny>;
let raw: Raw9p;
let count: number;
let commands: string[];
let names: string[];

beforeEach(async () => {
  count = 0;
  commands = [];
  names = ['one'];
  const tree = synthTree(
    directory({
      count: text(() => `${++count}\n`),
      later: text(async (user) => `for ${user.uid}\n`),
      secret: text(() => 'secret', 0o400),
      ctl: control((command) => {
        if (command === 'bad\n') throw new ErrnoError(errno.EINVAL);
        commands.push(command);
      }, 0o222),
      wait: file(() => ({
        read: (_offset, _count, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(new CancelledError()), { once: true });
          }),
      })),
      many: directory(() => Object.fromEntries(names.map((name) => [name, text(() => name)]))),
      __proto__x: text(() => 'x'),
    }),
  );
  served = serveAny(tree);
  raw = await served.connect({ uid: 4001 });
});

afterEach(() => served.end());

test('text is made at each open and read to its end', async () => {
  const fid = await raw.open('count');
  expect((await raw.read(fid, 0, 1)).toString()).toBe('1');
  expect((await raw.read(fid, 1)).toString()).toBe('\n');
  expect((await raw.read(fid, 2)).length).toBe(0);
  expect((await raw.read(await raw.open('count'))).toString()).toBe('2\n');
  expect((await raw.read(await raw.open('later'))).toString()).toBe('for 4001\n');
  expect(await raw.getattr(fid)).toMatchObject({ mode: 0o100444, size: 0, qid: { version: 0 } });
});

test("a write is a command, and its error the write's", async () => {
  const fid = await raw.open('ctl', OPEN.WRONLY | OPEN.TRUNC);
  expect(await raw.write(fid, 'go\n')).toBe(3);
  expect(commands).toEqual(['go\n']);
  expect(await raw.errno('Twrite', { fid, offset: 3, data: Buffer.from('bad\n') })).toBe(errno.EINVAL);
});

test('a read that waits can be flushed', async () => {
  const fid = await raw.open('wait');
  const tag = raw.send('Tread', { fid, offset: 0, count: 10 });
  await raw.call('Tflush', { oldtag: tag });
  expect(raw.arrived).toEqual([]);
});

test('directories list what there is now, under numbers that stay', async () => {
  const before = await raw.list(await raw.open('many'), 60);
  expect(before.map(({ name }) => name)).toEqual(['.', '..', 'one']);
  names = ['two', 'one'];
  const after = await raw.list(await raw.open('many'));
  expect(after.map(({ name }) => name)).toEqual(['.', '..', 'two', 'one']);
  expect(after[3]?.qid.path).toBe(before[2]?.qid.path);
  expect(await raw.errno('Twalk', { fid: 0, newfid: 9, names: ['many', 'one', 'x'] })).toBe(0);
  expect(await raw.errno('Twalk', { fid: 0, newfid: 9, names: ['toString'] })).toBe(errno.ENOENT);
  const { qids } = await raw.call('Twalk', { fid: 0, newfid: 9, names: ['many', '..', '..'] });
  expect(qids.map(({ path }) => path)).toEqual([before[0]?.qid.path, before[1]?.qid.path, before[1]?.qid.path]);
});

test('modes are heeded, and nothing can be changed', async () => {
  expect(await raw.errno('Tlopen', { fid: await raw.walk('secret'), flags: 0 })).toBe(errno.EACCES);
  expect(await raw.errno('Tlopen', { fid: await raw.walk('count'), flags: OPEN.RDWR })).toBe(errno.EACCES);
  const root = await served.connect({ uid: 0 });
  expect(await root.errno('Tlopen', { fid: await root.walk('count'), flags: OPEN.RDWR })).toBe(errno.EACCES);
  expect(await root.errno('Tlcreate', { fid: await root.walk(''), name: 'x', flags: 2, mode: 0o600, gid: 0 })).toBe(
    errno.EPERM,
  );
  expect(await root.errno('Tunlinkat', { dirfid: 0, name: 'count', flags: 0 })).toBe(errno.EPERM);
  expect(await root.errno('Tmkdir', { dfid: 0, name: 'x', mode: 0o700, gid: 0 })).toBe(errno.EPERM);
});
