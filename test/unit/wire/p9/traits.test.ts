// The traits of the messages against what the manual pages and diod's protocol.md say of each, written here a second
// time, and the types that keep a row without traits, or with those of other fields, from compiling.

import { describe, expect, test } from 'vitest';
import { data, string, u32 } from '../../../../src/common/layout.ts';
import { DM, NOFID, OMODE, OPEN, XATTR } from '../../../../src/wire/p9/constants.ts';
import type { Body, Message, MessageName, RefusalName, RequestName } from '../../../../src/wire/p9/messages.ts';
import { type Rows, refusal, reply, request } from '../../../../src/wire/p9/rows.ts';
import { UNTOUCHED } from '../../../../src/wire/p9/stat.ts';
import {
  effectOf,
  isRefusal,
  isReplyTo,
  isRequestType,
  payloadAt,
  requestNames,
  subjectOf,
  traitsOf,
} from '../../../../src/wire/p9/traits.ts';
import { dialects } from './arbitraries.ts';
import { bytesOf } from './frames.ts';

/** Name, whether it may be flushed, its reply, and its fids in the order of the wire: + is made, - is ended. */
const REQUESTS = `
Tversion     no  Rversion
Tauth        yes Rauth        +afid
Tattach      yes Rattach      +fid afid
Tflush       no  Rflush
Twalk        yes Rwalk        fid +newfid
Topen        yes Ropen        fid
Tlopen       yes Rlopen       fid
Tcreate      yes Rcreate      fid
Tlcreate     yes Rlcreate     fid
Tread        yes Rread        fid
Twrite       yes Rwrite       fid
Tclunk       no  Rclunk       -fid
Tremove      no  Rremove      -fid
Tstat        yes Rstat        fid
Twstat       yes Rwstat       fid
Tstatfs      yes Rstatfs      fid
Tsymlink     yes Rsymlink     dfid
Tmknod       yes Rmknod       dfid
Tmkdir       yes Rmkdir       dfid
Trename      yes Rrename      fid dfid
Trenameat    yes Rrenameat    olddirfid newdirfid
Tunlinkat    yes Runlinkat    dirfid
Tlink        yes Rlink        dfid fid
Treadlink    yes Rreadlink    fid
Tgetattr     yes Rgetattr     fid
Tsetattr     yes Rsetattr     fid
Txattrwalk   yes Rxattrwalk   fid +newfid
Txattrcreate yes Rxattrcreate fid
Treaddir     yes Rreaddir     fid
Tfsync       yes Rfsync       fid
Tlock        yes Rlock        fid
Tgetlock     yes Rgetlock     fid
`;

const SIGN = { uses: '', makes: '+', ends: '-' };
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/).join(' '));
const all = Object.values(dialects).flatMap(({ rows }) => rows);

test('every request may be flushed, is answered and holds fids as the manual says', () => {
  const ours = requestNames.map((name) => {
    const { flushable, reply: answer, fids } = traitsOf(name);
    return [name, flushable ? 'yes' : 'no', answer, ...fids.map(({ field, role }) => SIGN[role] + field)].join(' ');
  });
  expect(ours.toSorted()).toEqual(lines(REQUESTS).toSorted());
});

test('every row of every dialect is found with its own traits', () => {
  for (const [name, row] of all) {
    expect([name, payloadAt(row.number)]).toEqual([name, row.payloadAt]);
    expect([name, isRequestType(row.number)]).toEqual([name, row.kind === 'request']);
    expect([name, isRefusal({ type: name })]).toEqual([name, row.kind === 'refusal']);
    if (row.kind !== 'request') {
      expect(traitsOf(name as string)).toBeUndefined();
      continue;
    }
    const { number, flushable, effect, releases, fids } = traitsOf(name as RequestName);
    expect([name, number, flushable, releases]).toEqual([name, row.number, row.flushable, row.releases ?? false]);
    expect(Object.fromEntries(fids.map(({ field, role }) => [field, role]))).toEqual(row.fids);
    expect(effect).toBe(row.effect);
  }
});

test('only Tclunk and Tflush give back what others wait for, and nothing else', () => {
  expect(requestNames.filter((name) => traitsOf(name).releases).toSorted()).toEqual(['Tclunk', 'Tflush']);
});

describe('payloads', () => {
  const BEGINS = { Rread: 11, Rreaddir: 11, Twrite: 23 };

  test('only three messages carry one, and it begins where the manual pages have it', () => {
    const carrying = all.flatMap(([name, row]) => (row.payloadAt > 0 ? [[name, row.payloadAt] as const] : []));
    expect(Object.fromEntries(carrying)).toEqual(BEGINS);
    expect(requestNames.filter((name) => traitsOf(name).fetches).toSorted()).toEqual(['Tread', 'Treaddir']);
    expect([payloadAt(0), payloadAt(255), payloadAt(300)]).toEqual([0, 0, 0]);
  });

  test('the bytes of a message agree', () => {
    const payload = Buffer.from('payload');
    const messages: Message[] = [
      { type: 'Rread', tag: 1, data: payload },
      { type: 'Rreaddir', tag: 1, data: payload },
      { type: 'Twrite', tag: 1, fid: 2, offset: 3, data: payload },
    ];
    for (const message of messages) {
      const bytes = bytesOf(message, dialects.dotl.codec);
      expect(bytes.subarray(payloadAt(bytes[4] ?? 0))).toEqual(payload);
    }
  });

  test('one that begins at no fixed place is refused', () => {
    expect(() => request(60, { name: string, data }, { flushable: true, effect: 'none', fids: {} })).toThrow(
      'message 60: its payload begins at no fixed place',
    );
  });
});

describe('what a request is about', () => {
  const body = { fid: 1, newfid: 2, afid: 3, dfid: 4, dirfid: 5, olddirfid: 6, newdirfid: 7 };

  test('the file, or the directory of the name', () => {
    const found = requestNames.map((type) => [type, subjectOf({ type, tag: 0, ...body } as unknown as Message)]);
    const { fid, dfid, dirfid, olddirfid } = body;
    const directories = { Tsymlink: dfid, Tmknod: dfid, Tmkdir: dfid, Tlink: dfid, Tunlinkat: dirfid };
    const none = { Tversion: undefined, Tflush: undefined, Tauth: undefined, Tattach: undefined };
    const files = Object.fromEntries(requestNames.map((name) => [name, fid]));
    expect(Object.fromEntries(found)).toEqual({ ...files, ...directories, ...none, Trenameat: olddirfid });
  });

  test('nothing, for a reply', () => {
    expect(subjectOf({ type: 'Rwrite', tag: 0, count: 1 })).toBeUndefined();
  });
});

describe('what a request leaves behind', () => {
  /** Those whose effect does not depend on their fields. */
  const ALWAYS: Record<'none' | 'absolute' | 'once', readonly RequestName[]> = {
    none: [
      ...(['Tversion', 'Tauth', 'Tattach', 'Tflush', 'Twalk', 'Tread', 'Tstat', 'Tstatfs', 'Treadlink'] as const),
      ...(['Tgetattr', 'Txattrwalk', 'Treaddir', 'Tfsync', 'Tgetlock'] as const),
    ],
    absolute: ['Tsetattr', 'Tlock'],
    once: [
      ...([
        'Tclunk',
        'Tremove',
        'Tcreate',
        'Tlcreate',
        'Tsymlink',
        'Tmknod',
        'Tmkdir',
        'Trename',
        'Trenameat',
      ] as const),
      ...(['Tunlinkat', 'Tlink'] as const),
    ],
  };
  const always = Object.entries(ALWAYS).flatMap(([effect, list]) => list.map((name) => [name, effect] as const));

  test.each(always)('%s: %s', (name, effect) => {
    expect(effectOf(name, {} as Body<typeof name>)).toBe(effect);
  });

  const open = (flags: number): Body<'Tlopen'> => ({ fid: 1, flags });
  const attribute = { fid: 1, name: 'user.a', size: 3, flags: 0 };
  test.each([
    ['Tlopen', 'to append', open(OPEN.RDWR | OPEN.APPEND), 'none'],
    ['Tlopen', 'that empties', open(OPEN.WRONLY | OPEN.TRUNC), 'absolute'],
    ['Tlopen', 'that makes', open(OPEN.RDWR | OPEN.CREATE), 'once'],
    ['Tlopen', 'that makes or empties', open(OPEN.RDWR | OPEN.CREATE | OPEN.TRUNC), 'once'],
    ['Topen', 'to write', { fid: 1, mode: OMODE.RDWR }, 'none'],
    ['Topen', 'that empties', { fid: 1, mode: OMODE.WRITE | OMODE.TRUNC }, 'absolute'],
    ['Topen', 'that removes', { fid: 1, mode: OMODE.READ | OMODE.RCLOSE }, 'once'],
    ['Topen', 'that empties and removes', { fid: 1, mode: OMODE.WRITE | OMODE.TRUNC | OMODE.RCLOSE }, 'once'],
    ['Twstat', 'of nothing', { fid: 1, stat: UNTOUCHED }, 'absolute'],
    ['Twstat', 'of the length', { fid: 1, stat: { ...UNTOUCHED, length: 0 } }, 'absolute'],
    ['Twstat', 'of the mode', { fid: 1, stat: { ...UNTOUCHED, mode: DM.DIR } }, 'absolute'],
    ['Twstat', 'of the name', { fid: 1, stat: { ...UNTOUCHED, name: 'new' } }, 'once'],
    ['Txattrcreate', 'of a value', attribute, 'absolute'],
    ['Txattrcreate', 'of another value', { ...attribute, flags: XATTR.REPLACE }, 'absolute'],
    ['Txattrcreate', 'of a new one', { ...attribute, flags: XATTR.CREATE }, 'once'],
    ['Txattrcreate', 'that removes', { ...attribute, size: 0 }, 'once'],
  ] as const)('%s %s', (name, _how, body, effect) => {
    expect(effectOf(name, body)).toBe(effect);
  });

  test('a Twrite adds to the file once more unless its fid is known not to append', () => {
    const body = { fid: 1, offset: 0, data: Buffer.from('a') };
    expect([effectOf('Twrite', body), effectOf('Twrite', body, true)]).toEqual(['once', 'once']);
    expect(effectOf('Twrite', body, false)).toBe('absolute');
  });

  test('every request is in this test', () => {
    const some: RequestName[] = ['Tlopen', 'Topen', 'Twstat', 'Txattrcreate', 'Twrite'];
    expect([...always.map(([name]) => name), ...some].toSorted()).toEqual(requestNames.toSorted());
  });
});

test('a request is answered by its own reply, or by one that refuses any', () => {
  const refusals: readonly RefusalName[] = ['Rlerror', 'Rerror'];
  for (const type of requestNames) {
    const answers = all.flatMap(([name]) => (isReplyTo(name, type) ? [name] : []));
    expect(new Set(answers)).toEqual(new Set<MessageName>([traitsOf(type).reply, ...refusals]));
  }
  expect(isReplyTo('Rread', 'type 55')).toBe(false);
  expect(isRefusal({ type: 'Rread' })).toBe(false);
});

// What must not compile; tsc says so when it does.
describe('types', () => {
  const looks = { flushable: true, effect: 'none', fids: { fid: 'uses' } } as const;

  test('a row without traits, and one that is no request or reply', () => {
    const plain = { number: 60, layout: { fid: u32 }, payloadAt: 0 };
    // @ts-expect-error no traits
    const bare = { Tnew: plain } as const satisfies Rows;
    // @ts-expect-error a request in the table is made as a reply
    const disguised = { Tnew: reply(60, { fid: u32 }) } as const satisfies Rows;
    // @ts-expect-error and the other way round
    const reversed = { Rnew: request(61, { fid: u32 }, looks) } as const satisfies Rows;
    // @ts-expect-error neither T nor R
    const neither = { Xnew: refusal(62, { fid: u32 }) } as const satisfies Rows;
    const right = { Tnew: request(60, { fid: u32 }, looks), Rnew: reply(61, {}) } as const satisfies Rows;
    expect([bare, disguised, reversed, neither, right].map((table) => Object.keys(table).length)).toEqual([
      1, 1, 1, 1, 2,
    ]);
  });

  test('traits that leave something out, or name fields that are not there', () => {
    const made = [
      // @ts-expect-error no traits at all
      () => request(60, { fid: u32 }),
      // @ts-expect-error whether it may be flushed
      request(60, { fid: u32 }, { effect: 'none', fids: { fid: 'uses' } }),
      // @ts-expect-error what it leaves behind
      request(60, { fid: u32 }, { flushable: true, fids: { fid: 'uses' } }),
      // @ts-expect-error no fids
      request(60, { fid: u32 }, { flushable: true, effect: 'none' }),
      // @ts-expect-error newfid is not named
      request(60, { fid: u32, newfid: u32 }, { flushable: true, effect: 'none', fids: { fid: 'uses' } }),
      // @ts-expect-error newfid is not named by traits that other rows have too
      request(60, { fid: u32, newfid: u32 }, looks),
      // @ts-expect-error there is no dfid
      request(60, { fid: u32 }, { flushable: true, effect: 'none', fids: { fid: 'uses', dfid: 'uses' } }),
      // @ts-expect-error there is no fid, though the traits of other rows have one
      request(60, { oldtag: u32 }, looks),
      // @ts-expect-error count holds no fid
      request(60, { fid: u32, count: u32 }, { flushable: true, effect: 'none', fids: { fid: 'uses', count: 'uses' } }),
      // @ts-expect-error nothing borrows
      request(60, { fid: u32 }, { flushable: true, effect: 'none', fids: { fid: 'borrows' } }),
      // @ts-expect-error there are no flags
      request(60, { fid: u32 }, { ...looks, effect: ({ flags }) => (flags === NOFID ? 'none' : 'once') }),
      request(60, { fid: u32 }, { ...looks, effect: ({ fid }) => (fid === NOFID ? 'none' : 'once') }),
    ];
    expect(made).toHaveLength(12);
  });
});
