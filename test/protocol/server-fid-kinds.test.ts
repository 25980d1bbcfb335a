// Which file is hit where another file is at the path of a fid by now, or none: in every kind of fids, by every message
// of 9P2000.L that means a file.

import { describe, expect, test } from 'vitest';
import type { FidKindName } from '../../src/server/server.ts';
import { GETATTR, OPEN, SETATTR } from '../../src/wire/p9/constants.ts';
import { eachKind, type KindStage } from '../support/eachkind.ts';
import { hit } from '../support/witness.ts';

const RDLCK = 0;
const WRLCK = 1;

/** What happens to the file `d/a`, which says "meant". The one at its path by then says "innocent", or there is none. */
interface Scenario {
  readonly name: string;
  /** The file has no name any more. */
  readonly unlinked?: true;
  readonly replaced: boolean;
  happen(t: KindStage): Promise<void>;
}

const scenarios: readonly Scenario[] = [
  {
    name: 'it is renamed, and its name is made again',
    replaced: true,
    async happen(t) {
      await t.rename('d/a', 'd/b');
      await t.put('d/a', 'innocent');
    },
  },
  {
    name: 'it is renamed into another directory, and another file to its name',
    replaced: true,
    async happen(t) {
      await t.mkdir('e');
      await t.put('e/x', 'innocent');
      await t.rename('d/a', 'e/a');
      await t.rename('e/x', 'd/a');
    },
  },
  {
    name: 'its directory is renamed, and made again with another file',
    replaced: true,
    async happen(t) {
      await t.rename('d', 'e');
      await t.mkdir('d');
      await t.put('d/a', 'innocent');
    },
  },
  {
    name: 'it is removed, and its name is made again',
    unlinked: true,
    replaced: true,
    async happen(t) {
      await t.remove('d/a');
      await t.put('d/a', 'innocent');
    },
  },
  {
    name: 'another file is renamed over it',
    unlinked: true,
    replaced: true,
    async happen(t) {
      await t.put('d/x', 'innocent');
      await t.rename('d/x', 'd/a');
    },
  },
  { name: 'it is renamed', replaced: false, happen: (t) => t.rename('d/a', 'd/b') },
  { name: 'its directory is renamed', replaced: false, happen: (t) => t.rename('d', 'e') },
  { name: 'it is removed', unlinked: true, replaced: false, happen: (t) => t.remove('d/a') },
];

/** Says in an attribute of the file which one it is. */
async function setWho(t: KindStage, path: string, who: string): Promise<void> {
  const fid = await t.other.walk(path);
  await t.other.call('Txattrcreate', { fid, name: 'user.who', size: who.length, flags: 0 });
  await t.other.write(fid, who);
  await t.other.clunk(fid);
}

async function setxattr(t: KindStage, fid: number): Promise<void> {
  const at = await t.raw.walk('', fid);
  await t.raw.call('Txattrcreate', { fid: at, name: 'user.set', size: 1, flags: 0 });
  await t.raw.write(at, 'x');
  await t.raw.clunk(at);
}

async function getxattr(t: KindStage, fid: number): Promise<string> {
  const newfid = t.raw.fid();
  await t.raw.call('Txattrwalk', { fid, newfid, name: 'user.who' });
  const value = (await t.raw.read(newfid)).toString();
  await t.raw.clunk(newfid);
  return value;
}

async function readAll(t: KindStage, fid: number): Promise<string> {
  return (await t.raw.read(fid)).toString();
}

async function cloned(t: KindStage, fid: number): Promise<string> {
  const at = await t.raw.walk('', fid);
  try {
    return t.witness.named((await t.raw.getattr(at)).qid);
  } finally {
    await t.raw.clunk(at);
  }
}

async function opened(t: KindStage, fid: number): Promise<string> {
  const at = await t.raw.walk('', fid);
  try {
    const { qid } = await t.raw.call('Tlopen', { fid: at, flags: OPEN.RDWR });
    expect(t.witness.named(qid)).toBe(await readAll(t, at));
    return await readAll(t, at);
  } finally {
    await t.raw.clunk(at);
  }
}

const range = { start: 0n, length: 0n, procId: 7, clientId: 'tried' };

async function held(t: KindStage, fid: number): Promise<string> {
  return (await t.raw.call('Tgetlock', { fid, kind: WRLCK, ...range })).clientId;
}

/** The one that was meant is locked for reading, the other one for writing. */
async function locked(t: KindStage, fid: number): Promise<string> {
  const { status } = await t.raw.call('Tlock', { fid, kind: RDLCK, flags: 0, ...range });
  return status === 0 ? 'meant' : 'innocent';
}

/** What changes a file, and what tells one, through any fid. */
const changes: Readonly<Record<string, (t: KindStage, fid: number) => Promise<unknown>>> = {
  chmod: (t, fid) => t.raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o600 }),
  chown: (t, fid) => t.raw.setattr(fid, { valid: SETATTR.UID | SETATTR.GID, uid: 7, gid: 8 }),
  utimens: (t, fid) => t.raw.setattr(fid, { valid: SETATTR.MTIME | SETATTR.MTIME_SET, mtime: 12345 }),
  truncate: (t, fid) => t.raw.setattr(fid, { valid: SETATTR.SIZE, size: 3 }),
};
const link = (t: KindStage, fid: number) => t.raw.call('Tlink', { dfid: 0, fid, name: 'linked' });

interface Hits {
  readonly [request: string]: string;
}

async function throughUnopened(t: KindStage, fid: number): Promise<Hits> {
  const { witness } = t;
  const hits: Record<string, string> = {
    getattr: await hit(async () => witness.named((await t.raw.getattr(fid)).qid)),
    clone: await hit(() => cloned(t, fid)),
    open: await hit(() => opened(t, fid)),
    getxattr: await hit(() => getxattr(t, fid)),
    setxattr: await witness.changedBy(() => setxattr(t, fid)),
    link: await witness.changedBy(() => link(t, fid)),
    statfs: await hit(async () => (await t.raw.call('Tstatfs', { fid })).type),
  };
  for (const [name, act] of Object.entries(changes)) hits[name] = await witness.changedBy(() => act(t, fid));
  return hits;
}

async function throughOpen(t: KindStage, fid: number): Promise<Hits> {
  const { witness } = t;
  const hits: Record<string, string> = {
    read: await hit(() => readAll(t, fid)),
    getlock: await hit(() => held(t, fid)),
    lock: await hit(() => locked(t, fid)),
    fsync: await hit(async () => (await t.raw.call('Tfsync', { fid, datasync: 0 })).type),
    getattr: await hit(async () => witness.named((await t.raw.getattr(fid)).qid)),
    clone: await hit(() => cloned(t, fid)),
    getxattr: await hit(() => getxattr(t, fid)),
    setxattr: await witness.changedBy(() => setxattr(t, fid)),
    link: await witness.changedBy(() => link(t, fid)),
    write: await witness.changedBy(() => t.raw.write(fid, 'written')),
  };
  for (const [name, act] of Object.entries(changes)) hits[name] = await witness.changedBy(() => act(t, fid));
  return hits;
}

/** Requests through an open fid that go by its path; all go by the file in no kind but `file`. */
const BY_PATH: Readonly<Record<FidKindName, readonly string[] | 'all'>> = {
  file: [],
  path: 'all',
  'path-io': ['getattr', 'chmod', 'chown', 'utimens', 'truncate', 'getxattr', 'setxattr', 'clone', 'link'],
  'path-unopened': ['getxattr', 'setxattr', 'clone', 'link'],
};

eachKind((t) => {
  /** Makes a fid of `d/a` that is not open and one that is, and lets the scenario happen. */
  async function staged({ replaced, happen }: Scenario): Promise<{ unopened: number; open: number }> {
    await t.mkdir('d');
    await t.put('d/a', 'meant');
    await t.witness.watch('meant', 'd', 'a');
    await setWho(t, 'd/a', 'meant');
    const fids = { unopened: await t.raw.walk('d/a'), open: await t.raw.open('d/a', OPEN.RDWR) };
    await happen(t);
    if (replaced) {
      await t.witness.watch('innocent', 'd', 'a');
      await setWho(t, 'd/a', 'innocent');
    }
    await t.witness.lock('meant', RDLCK);
    await t.witness.lock('innocent', WRLCK);
    return fids;
  }

  function expected({ replaced, unlinked }: Scenario, hits: Hits, isByPath: (request: string) => boolean): Hits {
    const lost = (request: string) => isByPath(request) && !replaced;
    const answers: Record<string, (request: string) => string | undefined> = {
      fsync: (request) => (lost(request) ? 'ENOENT' : 'Rfsync'),
      statfs: (request) => (lost(request) ? 'ENOENT' : 'Rstatfs'),
      // a file that has lost its last name gets no other
      link: (request) => (!isByPath(request) && unlinked ? 'ENOENT' : undefined),
    };
    const meant = (request: string) => (lost(request) ? 'ENOENT' : isByPath(request) ? 'innocent' : 'meant');
    return Object.fromEntries(Object.keys(hits).map((name) => [name, answers[name]?.(name) ?? meant(name)]));
  }

  test.each(scenarios)('through an unopened fid: $name', async (scenario) => {
    const { unopened } = await staged(scenario);
    const hits = await throughUnopened(t, unopened);
    expect(hits).toEqual(expected(scenario, hits, () => t.kind !== 'file'));
  });

  test.each(scenarios)('through an open fid: $name', async (scenario) => {
    const { open } = await staged(scenario);
    const hits = await throughOpen(t, open);
    const rules = BY_PATH[t.kind];
    expect(hits).toEqual(expected(scenario, hits, (name) => rules === 'all' || rules.includes(name)));
  });

  describe('while paths are followed', () => {
    /** Many requests that go by a path, sent at once; returns their tags. */
    async function sendMany(): Promise<number[]> {
      await t.mkdir('d');
      await t.put('d/a', 'meant');
      const { raw } = t;
      const [fid, open, clone] = [await raw.walk('d/a'), await raw.open('d/a', OPEN.RDWR), await raw.walk('d/a')];
      await t.rename('d/a', 'd/b');
      await t.put('d/a', 'innocent');
      const none = { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0 };
      return [
        raw.send('Tgetattr', { fid, mask: GETATTR.ALL }),
        raw.send('Twalk', { fid, newfid: raw.fid(), names: [] }),
        raw.send('Twalk', { fid: await raw.walk('d'), newfid: raw.fid(), names: ['a'] }),
        raw.send('Tsetattr', { ...none, fid, valid: SETATTR.SIZE }),
        raw.send('Txattrwalk', { fid, newfid: raw.fid(), name: '' }),
        raw.send('Tread', { fid: open, offset: 0, count: 10 }),
        raw.send('Twrite', { fid: open, offset: 0, data: Buffer.from('x') }),
        raw.send('Tfsync', { fid: open, datasync: 0 }),
        raw.send('Tlopen', { fid: clone, flags: OPEN.RDWR }),
        raw.send('Trename', { fid, dfid: 0, name: 'c' }),
        raw.send('Tremove', { fid }),
      ];
    }

    test('every request can be flushed', async () => {
      const flushes = (await sendMany()).map((oldtag) => t.raw.send('Tflush', { oldtag }));
      for (const tag of flushes) expect((await t.raw.reply(tag)).type).toBe('Rflush');
    });

    // the stage's check for leaks says whether it could
    test('the connection can end', async () => {
      await sendMany();
      t.raw.transport.close();
      expect(await t.raw.closed).toBe(undefined);
    });
  });
});
