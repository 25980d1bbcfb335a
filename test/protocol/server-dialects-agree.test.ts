// One tree, three dialects: what is made through one of them is the same through the others, as far as these can say it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DM, OMODE, SETATTR } from '../../src/wire/p9/constants.ts';
import { asRoot } from '../support/eachtree.ts';
import { create, list, mkdir, open, stat, wstat } from '../support/plan9.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { serveTree } from '../support/served.ts';

type Speaker = 'unix' | 'plan9' | 'linux';

/** Something to make, and by whom. */
interface Step {
  readonly by: Speaker;
  readonly kind: 'file' | 'directory' | 'symlink' | 'device' | 'fifo' | 'change' | 'rename' | 'remove';
  readonly name: string;
  readonly to: string;
  readonly mode: number;
  readonly size: number;
  readonly time: number;
}

const name = fc.constantFrom('a', 'b', 'c', 'ü', 'with space');
const step: fc.Arbitrary<Step> = fc.record({
  by: fc.constantFrom('unix', 'plan9', 'linux'),
  kind: fc.constantFrom('file', 'directory', 'symlink', 'device', 'fifo', 'change', 'rename', 'remove'),
  name,
  to: name,
  mode: fc.integer({ min: 0, max: 0o777 }),
  size: fc.integer({ min: 0, max: 10_000 }),
  time: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
});

/** What each dialect calls it. Refusals are part of the game, and are the same for all that look on. */
async function act(
  raws: Readonly<Record<Speaker, Raw9p>>,
  { by, kind, name, to, mode, size, time }: Step,
): Promise<void> {
  const raw = raws[by];
  const special = { name, mode, gid: 0, dfid: 0 };
  if (kind === 'rename' || kind === 'remove' || kind === 'change') {
    const fid = await raw.walk(name);
    if (kind === 'remove') {
      await raw.call('Tremove', { fid });
    } else if (by === 'linux') {
      if (kind === 'rename') await raw.call('Trename', { fid, dfid: 0, name: to });
      else await raw.setattr(fid, { valid: SETATTR.MODE | SETATTR.MTIME | SETATTR.MTIME_SET, mode, mtime: time });
      await raw.clunk(fid);
    } else {
      const type = (await stat(raw, fid)).mode & DM.DIR;
      if (kind === 'rename') await wstat(raw, fid, { name: to });
      else await wstat(raw, fid, { mode: (type | mode) >>> 0, mtime: time, ...(type === 0 ? { length: size } : {}) });
      await raw.clunk(fid);
    }
  } else if (by === 'linux') {
    if (kind === 'file') await raw.clunk(await raw.create(0, name, { mode, flags: 0o202 }));
    else if (kind === 'directory') await raw.call('Tmkdir', special);
    else if (kind === 'symlink') await raw.call('Tsymlink', { ...special, target: to });
    else if (kind === 'device') await raw.call('Tmknod', { ...special, mode: 0o060000 | mode, major: 8, minor: 257 });
    else await raw.call('Tmknod', { ...special, mode: 0o010000 | mode, major: 0, minor: 0 });
  } else if (kind === 'directory') {
    await raw.clunk(await mkdir(raw, name, mode));
  } else {
    const bits = { file: 0, symlink: DM.SYMLINK, device: DM.DEVICE, fifo: DM.NAMEDPIPE }[kind];
    const extension = kind === 'symlink' ? to : kind === 'device' ? 'b 8 257' : '';
    await raw.clunk(await create(raw, name, { perm: bits | mode, mode: OMODE.READ, extension }));
  }
}

const TYPES: ReadonlyMap<number, number> = new Map([
  [0o040000, DM.DIR],
  [0o120000, DM.SYMLINK],
  [0o060000, DM.DEVICE],
  [0o010000, DM.NAMEDPIPE],
  [0o100000, 0],
]);

describe.runIf(asRoot).each(['memory', 'host'] as const)('%s tree', (kind) => {
  test('stats and listings agree', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), async (steps) => {
        const served = await serveTree(kind);
        try {
          const raws = {
            linux: await served.connect(),
            unix: await served.connect({ version: '9P2000.u' }),
            plan9: await served.connect({ version: '9P2000' }),
          };
          for (const each of steps) await act(raws, each).catch(refused);
          const names = (await raws.linux.list(await raws.linux.open('/')))
            .map((entry) => entry.name)
            .filter((each) => each !== '.' && each !== '..');
          const [unix, plan9] = [
            await list(raws.unix, await open(raws.unix, ''), '9P2000.u'),
            await list(raws.plan9, await open(raws.plan9, ''), '9P2000'),
          ];
          expect(unix.map((entry) => entry.name).sort()).toEqual([...names].sort());
          expect(plan9.map((entry) => entry.name).sort()).toEqual([...names].sort());
          for (const each of names) {
            const truth = await raws.linux.getattr(await raws.linux.walk(each));
            const type = TYPES.get(truth.mode & 0o170000) ?? Number.NaN;
            const inUnix = await stat(raws.unix, await raws.unix.walk(each));
            expect(inUnix).toMatchObject({
              mode: (type | (truth.mode & 0o777)) >>> 0,
              length: type === DM.DIR ? 0 : truth.size,
              qid: truth.qid,
              ...{ mtime: truth.mtime, nUid: truth.uid, nGid: truth.gid, name: each },
            });
            if (type === DM.DEVICE) expect(inUnix.extension).toBe('b 8 257');
            if (type === 0) expect(inUnix.extension).toBe(`HARDLINKCOUNT ${truth.nlink}`);
            // a link is read to be listed and to be shown, and the second of the one need not be that of the other
            const atime = expect.any(Number);
            expect(unix).toContainEqual({ ...inUnix, atime });
            const inPlan9 = await stat(raws.plan9, await raws.plan9.walk(each));
            const kept = type === DM.DIR ? type : 0;
            expect(inPlan9).toMatchObject({
              mode: (kept | (truth.mode & 0o777)) >>> 0,
              length: inUnix.length,
              name: each,
            });
            expect(inPlan9.qid).toMatchObject({ version: truth.qid.version, path: truth.qid.path });
            expect(plan9).toContainEqual({ ...inPlan9, atime });
          }
        } finally {
          await served.end();
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** Anything else is the test's own mistake. */
function refused(error: unknown): void {
  expect(error).toMatchObject({ ecode: expect.any(Number) });
}
