import { describe, expect, test } from 'vitest';
import { mapAcl, mappedIds, oneId, readIdPairs, sameIds } from '../../../src/bridge/owners/ids.ts';
import { ConfigError, ErrnoError } from '../../../src/common/errors.ts';

const NOBODY = 0xffffffff;
const here: Readonly<Record<string, number>> = { root: 0, ann: 1000, bob: 1001, carol: 1001 };
const local = (name: string) => here[name];
const read = (text: string) => readIdPairs(text, '/etc/ids', local);

describe('a file of ids', () => {
  test.each([
    [
      'name:id',
      'ann:2005\nbob:2006\n',
      [
        [2005, 1000],
        [2006, 1001],
      ],
    ],
    [
      'passwd(5)',
      'root:x:0:0:root:/root:/bin/sh\nann:x:2005:100::/home/ann:/bin/sh',
      [
        [0, 0],
        [2005, 1000],
      ],
    ],
    [
      'group(5)',
      'ann:x:2005:\nbob:x:2006:ann,root\n',
      [
        [2005, 1000],
        [2006, 1001],
      ],
    ],
    ['blank lines and comments', '# who is who\n\n  \nann:2005\r\n', [[2005, 1000]]],
    ['names that nobody here has', 'dave:9\nann:2005', [[2005, 1000]]],
    ['the first of several names for an id', 'ann:7\nbob:7\n', [[7, 1000]]],
    ['nothing', '', []],
  ])('%s', (_what, text, pairs) => {
    expect([...read(text).toLocal]).toEqual(pairs);
  });

  test('tells the server the id of every name, also of one that is not shown', () => {
    expect([...read('ann:7\nbob:7\n').toServer]).toEqual([
      [1000, 7],
      [1001, 7],
    ]);
  });

  test('says which names nobody has', () => {
    expect(read('dave:9\nann:2005\nerin:10').unknown).toEqual(['dave', 'erin']);
  });

  test.each([
    ['ann:2005\nbob', "/etc/ids, line 2: 'bob' is not NAME:ID, nor a line of passwd or group"],
    [':7', "/etc/ids, line 1: ':7' is not NAME:ID, nor a line of passwd or group"],
    ['ann:', "/etc/ids, line 1: '' is not a number from 0 to 4294967294"],
    ['ann:-1', "/etc/ids, line 1: '-1' is not a number from 0 to 4294967294"],
    ['ann:4294967295', "/etc/ids, line 1: '4294967295' is not a number from 0 to 4294967294"],
    ['ann:x:five:100', "/etc/ids, line 1: 'five' is not a number from 0 to 4294967294"],
    ['\nann:7\nann:8', '/etc/ids, line 3: ann is 7 in a line above, and 8 here'],
    ['bob:7\ncarol:8', '/etc/ids, line 2: carol is 7 in a line above, and 8 here'],
  ])('%j is refused', (text, message) => {
    expect(() => read(text)).toThrow(new ConfigError(message));
  });
});

describe('maps', () => {
  const pairs = read('ann:2005\nbob:2006');
  test.each([
    ['none', sameIds, 5, 5],
    ["user: the server's user is ours", oneId(2005, 1000), 2005, 1000],
    ['user: others stay', oneId(2005, 1000), 7, 7],
    ['user: one that the server does not know is nobody', oneId(NOBODY, 1000), NOBODY, NOBODY],
    ['file', mappedIds(pairs, 'error'), 2006, 1001],
    ['file, nomap=ignore', mappedIds(pairs, 'ignore'), 7, 7],
    ['file: one that the server does not know', mappedIds(pairs, 'error'), NOBODY, NOBODY],
  ])('%s', (_what, map, server, shown) => {
    expect(map.toLocal(server)).toBe(shown);
    expect(map.toServer(shown)).toBe(server);
  });

  test('nomap=error is EPERM that names the file and the id', () => {
    const map = mappedIds(pairs, 'error');
    for (const [work, message] of [
      [() => map.toLocal(7), "/etc/ids has no line for the server's 7"],
      [() => map.toServer(0), '/etc/ids has no line for our 0'],
    ] as const) {
      expect(work).toThrow(ErrnoError);
      expect(work).toThrow(message);
    }
  });
});

describe('ACLs', () => {
  const entry = (tag: number, id: number) => [tag, 0, 7, 0, id & 0xff, (id >> 8) & 0xff, (id >> 16) & 0xff, id >>> 24];
  const acl = (user: number, group: number) =>
    Uint8Array.from(
      [
        2,
        0,
        0,
        0,
        entry(1, NOBODY),
        entry(2, user),
        entry(4, NOBODY),
        entry(8, group),
        entry(0x10, NOBODY),
        entry(0x20, NOBODY),
      ].flat(),
    );

  test('the ids of named users and groups are mapped, nothing else is', () => {
    const before = acl(2005, 70000);
    const after = mapAcl(
      before,
      (id) => id - 1005,
      (id) => id + 1,
    );
    expect(after).toEqual(acl(1000, 70001));
    expect(before).toEqual(acl(2005, 70000));
  });

  test.each([[[]], [[2, 0, 0]], [[2, 0, 0, 0, 1]], [[1, 0, 0, 0, ...entry(2, 5)]]])(
    '%j is no ACL and stays',
    (bytes) => {
      const value = Uint8Array.from(bytes);
      const moved = (id: number) => id + 1;
      expect(mapAcl(value, moved, moved)).toEqual(value);
    },
  );
});
