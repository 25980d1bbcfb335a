// All of `ninefs serve faults:` through real mounts: every file read and written, and every message that misbehaves under
// ops/, by a process that makes the call which sends it, and that is killed where it waits. No process stays in a call; the
// mount lives on, or answers EIO where the connection cannot be trusted any more; it can be unmounted, nothing is left at
// either end, and a fresh mount works.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Mount, mount } from '../../src/bridge/mount.ts';
import type { MountSettings, VersionChoice } from '../../src/bridge/settings.ts';
import { faultsTree, type Serving, serve } from '../../src/server/server.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { connectionOf } from '../support/fuseconnection.ts';
import { fusectl } from '../support/fusectl.ts';
import { python } from '../support/posix.ts';
import { Raw9p } from '../support/raw9p.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { whyNoMounts } from '../support/toymount.ts';
import { until } from '../support/until.ts';
import { type Counts, countsOf, type Outcome, Victims } from '../support/victims.ts';

/** What is right: to the caller, and to the mount. */
interface Right {
  /** A count, an errno, or `waits`: for ever, were it not killed. `any`: of a connection that is lost under the call. */
  call: number | string;
  mount: 'lives' | 'is lost';
}

interface Case extends Right {
  op: string;
  file: string;
  /** Where the server counts it. */
  place: string;
}

const lives = (call: Right['call']): Right => ({ call, mount: 'lives' });
const waits = lives('waits');
/** The server has broken the protocol, or it is not known what it did. */
const lost = (call: Right['call'] = 'any'): Right => ({ call, mount: 'is lost' });

const RELIST = join(import.meta.dirname, '../support/relist.py');
const FLUSH_TIMEOUT = 500;
/** For whatever should come of itself, also on a machine that is slow and busy; a run waits for five such things. */
const PATIENCE = 60_000;
vi.setConfig({ testTimeout: 6 * PATIENCE });

/** A call that sends a message, what it returns where all is well, and whether it changes something. */
type Calls = Readonly<Record<string, { op: string; file: string; ret: number; effect: boolean }>>;

const CALLS: Calls = {
  Twalk: { op: 'stat', file: 'file', ret: 0, effect: false },
  Tgetattr: { op: 'stat', file: 'file', ret: 0, effect: false },
  Tsetattr: { op: 'chmod', file: 'file', ret: 0, effect: true },
  Tstatfs: { op: 'statfs', file: 'file', ret: 0, effect: false },
  Tlopen: { op: 'open', file: 'file', ret: -1, effect: false },
  Tlcreate: { op: 'create', file: 'file', ret: -1, effect: true },
  Tread: { op: 'read all', file: 'file', ret: 8192, effect: false },
  Twrite: { op: 'write', file: 'file', ret: 100, effect: true },
  Tfsync: { op: 'fsync', file: 'file', ret: 0, effect: false },
  Treaddir: { op: 'readdir', file: 'dir', ret: -1, effect: false },
  Tmkdir: { op: 'mkdir', file: 'file', ret: 0, effect: true },
  Tmknod: { op: 'mknod', file: 'file', ret: 0, effect: true },
  Tsymlink: { op: 'symlink', file: 'file', ret: 0, effect: true },
  Treadlink: { op: 'readlink', file: 'link', ret: 4, effect: false },
  Tlink: { op: 'link', file: 'file', ret: 0, effect: true },
  Trenameat: { op: 'rename', file: 'file', ret: 0, effect: true },
  Tunlinkat: { op: 'unlink', file: 'file', ret: 0, effect: true },
  Tlock: { op: 'SETLKW', file: 'file', ret: 0, effect: true },
  Tgetlock: { op: 'GETLK', file: 'file', ret: 0, effect: false },
  Txattrwalk: { op: 'getxattr', file: 'file', ret: 5, effect: false },
  Txattrcreate: { op: 'setxattr', file: 'file', ret: 0, effect: true },
  Tclunk: { op: 'open and close', file: 'file', ret: 0, effect: false },
};

/** The same in 9P2000 and 9P2000.u. */
const OLDER: Calls = {
  Twalk: { op: 'stat', file: 'file', ret: 0, effect: false },
  Tstat: { op: 'stat', file: 'file', ret: 0, effect: false },
  Twstat: { op: 'chmod', file: 'file', ret: 0, effect: true },
  Topen: { op: 'open', file: 'file', ret: -1, effect: false },
  Tcreate: { op: 'create', file: 'file', ret: -1, effect: true },
  Tread: { op: 'read all', file: 'file', ret: 8192, effect: false },
  Twrite: { op: 'write', file: 'file', ret: 100, effect: true },
  Tremove: { op: 'unlink', file: 'file', ret: 0, effect: true },
  Tclunk: { op: 'open and close', file: 'file', ret: 0, effect: false },
};

const OPS: Readonly<Record<string, (ret: number, effect: boolean) => Right>> = {
  hang: () => waits,
  late: () => waits,
  eintr: () => waits,
  after: () => waits,
  mute: (_, effect) => (effect ? lost('waits') : waits),
  double: () => lost(),
  reorder: lives,
  wrongtag: () => lost('EIO'),
  wrongtype: () => lost('EIO'),
  short: lives,
  'errno,5': () => lives('EIO'),
  'cut,4': () => lost('EIO'),
};

function rightOf(fault: string, message: string, calls: Calls): Right {
  const { ret = 0, effect = false } = calls[message] ?? {};
  const right = OPS[fault]?.(ret, effect) ?? lives(ret);
  // nobody waits for a Tclunk, nor heeds an error in answer to it
  if (message === 'Tclunk') return right.mount === 'lives' ? lives(0) : lost();
  // never flushed, so that it is not known what became of it
  if (message === 'Tremove' && right.call === 'waits') return lost('waits');
  return right;
}

const opsCases = (fault: string, calls: Calls): Case[] =>
  Object.entries(calls)
    .filter(([message]) => fault !== 'short' || message === 'Tread' || message === 'Twrite')
    .map(([message, { op, file }]) => {
      const place = `ops/${fault}/${message}`;
      return { place, op, file: `${place}/${file}`, ...rightOf(fault, message, calls) };
    });

/** ENOSYS from a server is no reason for the kernel never to ask again. Not here: what is known of the whole server after it. */
const UNKNOWN: Readonly<Record<string, Right['call']>> = {
  ...Object.fromEntries(['Twalk', 'Tgetattr', 'Tsetattr', 'Tlopen', 'Tlcreate', 'Tread', 'Twrite'].map(unsupported)),
  ...Object.fromEntries(['Tfsync', 'Treaddir', 'Tmkdir', 'Tmknod', 'Tsymlink', 'Treadlink', 'Tlink'].map(unsupported)),
  Tstatfs: 0,
  Tlock: 'ENOLCK',
  Tgetlock: 'ENOLCK',
};

function unsupported(message: string): [string, string] {
  return [message, 'ENOTSUP'];
}

const SIZE = 65536;
/** The files: what a read of all of it, and a write of 100 bytes, should come to. */
const FILES: Readonly<Record<string, [read: Right, write: Right]>> = {
  hang: [waits, waits],
  late: [waits, waits],
  eintr: [waits, waits],
  after: [waits, waits],
  mute: [waits, lost('waits')],
  double: [lost(), lost()],
  reorder: [lives(SIZE), lives(100)],
  wrongtag: [lost('EIO'), lost('EIO')],
  wrongtype: [lost('EIO'), lost('EIO')],
  short: [lives(SIZE), lives(100)],
  zero: [lives(SIZE), lives('EIO')],
  bigcount: [lost('EIO'), lost('EIO')],
  'slow/10': [lives(SIZE), lives(100)],
  'slow/200': [lives(SIZE), lives(100)],
  'slow/60000': [waits, waits],
  'errno/0': [lives('EPROTO'), lives('EPROTO')],
  'errno/4': [lives('EINTR'), lives('EINTR')],
  'errno/5': [lives('EIO'), lives('EIO')],
  'errno/38': [lives('ENOTSUP'), lives('ENOTSUP')],
  'errno/511': [lives('511'), lives('511')],
  'errno/512': [lives('EIO'), lives('EIO')],
  'errno/4095': [lives('EIO'), lives('EIO')],
  'errno/4096': [lives('EPROTO'), lives('EPROTO')],
  'errno/2147483648': [lives('EPROTO'), lives('EPROTO')],
  'cut/0': [lost('EIO'), lost('EIO')],
  'cut/1': [lost('EIO'), lost('EIO')],
  'cut/4': [lost('EIO'), lost('EIO')],
  'cut/7': [lost('EIO'), lost('EIO')],
  'cut/10': [lost('EIO'), lost('EIO')],
};

const fileCases = (which: 0 | 1): Case[] =>
  Object.entries(FILES).map(([file, rights]) => {
    return { place: file, op: which === 0 ? 'read all' : 'write', file, ...rights[which] };
  });

describe.skipIf(whyNoMounts() !== undefined)('through a mount', () => {
  let dir: string;
  let serving: Serving;
  let raw: Raw9p;

  beforeEach(async () => {
    dir = await makeTempDir('faults');
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: faultsTree() });
    raw = new Raw9p(await connectSocket(serving.address));
    await raw.version();
    await raw.attach(0, 0);
    await fusectl();
  });
  afterEach(async () => {
    raw.transport.close();
    await serving.close();
    await removeTempDir(dir);
  });

  async function begin(name: string, settings: Partial<MountSettings> = {}): Promise<Mount> {
    const mountpoint = join(dir, name);
    await mkdir(mountpoint);
    return mount({ address: serving.address, mountpoint, cache: 'none', flushTimeout: FLUSH_TIMEOUT, ...settings });
  }

  /** Nothing waits in the kernel; unmounts; nothing is left of it here. */
  async function finish(live: Mount): Promise<void> {
    const kernel = await connectionOf(live.mountpoint);
    await until('every request to be answered', async () => (await kernel?.waiting()) === 0, PATIENCE);
    expect(await live.unmount()).toEqual({ how: 'unmounted' });
    const { client, fuse } = live.stats();
    expect(client).toMatchObject({ tags: 0, reserveTags: 0, queued: 0, quarantine: 0, pool: { inUse: 0, waiting: 0 } });
    expect(fuse).toMatchObject({ inFlight: 0, slabsLent: 0 });
  }

  /** Makes all calls, each on a mount of its own; returns what was not as it should be. */
  async function run(cases: readonly Case[], version: VersionChoice = 'auto'): Promise<string[]> {
    const wrong: string[] = [];
    const victims = new Victims();
    try {
      const mounts = await Promise.all(cases.map((_, i) => begin(`${i}`, { version })));
      const at = (i: number) => mounts[i]?.mountpoint ?? '';
      const calls = cases.map(({ op, file }, i) => victims.make(i, op, join(at(i), file)));
      let counts = new Map<string, Counts>();
      /** How many of them should wait where this one does. */
      const sharing = (name: string) => cases.filter(({ call, place }) => call === 'waits' && place === name).length;
      /** It has ended, or is where it should wait. */
      const isThere = ({ call, place }: Case, { ended }: Outcome): boolean =>
        ended !== undefined || (call === 'waits' && (counts.get(place)?.requests ?? 0) >= sharing(place));
      const away = () =>
        cases.filter((each, i) => !isThere(each, calls[i] ?? {})).map(({ place, op }) => `${place} ${op}`);
      await until(
        'every call to have ended or to wait',
        async () => {
          counts = await countsOf(raw);
          return away().length === 0;
        },
        PATIENCE,
      ).catch(() => wrong.push(`neither ended nor waits: ${away().join(', ')}`));
      for (const { pid, ended } of calls) if (ended === undefined && pid !== undefined) process.kill(pid, 'SIGKILL');
      await until('everybody to be gone', () => calls.every(({ signal }) => signal !== undefined), PATIENCE).catch(
        () => {
          const left = cases.filter((_, i) => calls[i]?.signal === undefined);
          wrong.push(`not gone: ${left.map(({ place, op }) => `${place} ${op}`).join(', ')}`);
        },
      );
      for (const [i, { place, op, call }] of cases.entries()) {
        const got = said(calls[i] ?? {});
        if (call === 'any' ? got === 'waits' : `${call}` !== got && !(call === -1 && Number(got) >= 0)) {
          wrong.push(`${place}, ${op}: ${got}; should be ${call}`);
        }
      }
      const looks = cases.map((_, i) => victims.make(cases.length + i, 'stat', `${at(i)}/hang.txt`));
      await until('every mount to answer', () => looks.every(({ signal }) => signal !== undefined), PATIENCE);
      for (const [i, right] of cases.entries()) {
        const got = said(looks[i] ?? {});
        const should = right.mount === 'lives' ? '0' : 'EIO';
        if (got !== should) wrong.push(`${right.place}, ${right.op}: the mount answers ${got}; should be ${should}`);
      }
      await Promise.all(
        mounts.map((live, i) => finish(live).catch((error) => wrong.push(`${cases[i]?.place}: ${error}`))),
      );
    } finally {
      await victims.end();
    }
    const lonely = () => serving.stats.connections.length === 1;
    await until('the server to have let go of everything', lonely, PATIENCE).catch((error) =>
      wrong.push(String(error)),
    );
    if (wrong.length > 0) return wrong;
    expect(serving.stats).toMatchObject({ connections: [{ tags: 0, fids: 1 }], places: 0 });
    const fresh = await begin('fresh');
    expect(await output(`cat ${fresh.mountpoint}/hang.txt`)).toContain('until the request is flushed');
    await finish(fresh);
    return wrong;
  }

  test.each([
    ['reads', 0],
    ['writes', 1],
  ] as const)('%s of every file', async (_, which) => {
    expect(await run(fileCases(which))).toEqual([]);
  });

  test.each(Object.keys(OPS))('every message that is %s', async (fault) => {
    expect(await run(opsCases(fault, CALLS))).toEqual([]);
  });

  test.each(Object.keys(OPS))('every message of 9P2000.u that is %s', async (fault) => {
    expect(await run(opsCases(fault, OLDER), '9P2000.u')).toEqual([]);
  });

  // most of it is the same code
  test.each(['hang', 'mute', 'double', 'errno,5'])('every message of 9P2000 that is %s', async (fault) => {
    expect(await run(opsCases(fault, OLDER), '9P2000')).toEqual([]);
  });

  test('a message that the server says it does not know is asked again all the same', async () => {
    const live = await begin('unknown');
    const victims = new Victims();
    const asked = async () => {
      const counts = await countsOf(raw);
      return Object.keys(UNKNOWN).map((message) => counts.get(`ops/errno,38/${message}`)?.requests ?? 0);
    };
    const before: number[][] = [];
    try {
      for (const round of [0, 1]) {
        before.push(await asked());
        const calls = Object.keys(UNKNOWN).map((message, i) => {
          const { op = '', file = '' } = CALLS[message] ?? {};
          return victims.make(i + round * 100, op, `${live.mountpoint}/ops/errno,38/${message}/${file}`);
        });
        await until('every call to end', () => calls.every(({ signal }) => signal !== undefined));
        const got = Object.keys(UNKNOWN).map((message, i) => `${message}: ${said(calls[i] ?? {})}`);
        expect(got).toEqual(Object.entries(UNKNOWN).map(([message, call]) => `${message}: ${call}`));
      }
      const [, first = []] = before;
      const last = await asked();
      expect(Object.keys(UNKNOWN).filter((_, i) => (last[i] ?? 0) <= (first[i] ?? 0))).toEqual([]);
    } finally {
      await victims.end();
    }
    await finish(live);
  });

  test('a server that is stuck after the step that made something', async () => {
    const cases = ['hang', 'mute'].flatMap((fault) =>
      ['create', 'mkdir', 'mknod', 'symlink'].map((op) => {
        const place = `ops/${fault}/Tgetattr`;
        return { place, op, file: `${place}/${op}`, ...waits };
      }),
    );
    // the first lock is followed by a question, of what the server makes of ranges
    for (const place of ['ops/hang/Tgetlock', 'ops/mute/Tgetlock']) {
      cases.push({ place, op: 'SETLKW of a range', file: `${place}/file`, ...waits });
    }
    expect(await run(cases)).toEqual([]);
    const fid = await raw.open('ops/hang/Tgetattr/create.new');
    expect((await raw.read(fid)).length).toBe(0);
    await raw.clunk(fid);
  });

  test('a listing that signals break off again and again is whole, with no name twice', async () => {
    const live = await begin('listing', { intr: 'now' });
    const said = await output(`exec ${python} ${RELIST} ${live.mountpoint}/listing`);
    const [broken, ...names] = said.trim().split('\n');
    expect(Number(broken)).toBeGreaterThan(0);
    const entries = Array.from({ length: 200 }, (_, i) => `entry${i}`);
    expect(names.sort()).toEqual(['.', '..', ...entries].sort());
    await finish(live);
  });

  test('odd directories', async () => {
    const live = await begin('odd');
    const within = (script: string) => output(`cd ${live.mountpoint} && ${script}`);
    expect(await within('ls listing | sort -u | wc -l; ls listing | wc -l')).toBe('200\n200\n');
    const odd = ['\\033[31mred', '\\ ', '-rf', 'good', 'new\\nline', 'y'.repeat(255), '\u202eevil'];
    expect(await within('LC_ALL=C.UTF-8 ls -1b names')).toBe(`${odd.join('\n')}\n`);
    expect(await within('cat collide/one collide/two; exec 3<collide/one; cat collide/two - <&3')).toBe(
      'one\ntwo!\ntwo!\none\n',
    );
    expect(await within('stat -c %F synth/walk/00/01/02/03/04/05/06/07/08/09/10/11/12/13/14/15')).toBe('directory\n');
    expect(await within('ls synth/readdir | wc -l; cat synth/lopen; echo x > synth/write; echo x > synth/lopen')).toBe(
      '100\n',
    );
    expect(
      await within('head -c 50 /dev/zero > synth/flush; for f in *.txt counters/*; do cat $f | wc -c; done'),
    ).toMatch(/^([1-9][0-9]*\n)+$/);
    await finish(live);
  });
});

/** What became of a call. */
function said({ ret, errno, signal, broken }: Outcome): string {
  if (broken !== undefined) return `could not begin: ${broken}`;
  if (ret === undefined) return signal === 'SIGKILL' ? 'waits' : `killed by ${signal}`;
  return ret < 0 ? `${errno}` : `${ret}`;
}
