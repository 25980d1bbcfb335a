// The message tables against the other public description of the protocol: the field lists of the manual pages and of
// diod's protocol.md, written here as text in their notation, so that a slip in a table cannot hide in a round trip.
// - is a field that only other dialects send.

import { describe, expect, test } from 'vitest';
import * as layout from '../../../../src/common/layout.ts';
import { errorText, looseErrno } from '../../../../src/wire/p9/errors.ts';
import { statDotu, statLegacy } from '../../../../src/wire/p9/stat.ts';
import { names, qid, qids } from '../../../../src/wire/p9/types.ts';
import { dialects } from './arbitraries.ts';

const CORE = `
Tversion 100 4 s
Rversion 101 4 s
Rauth 103 q
Rattach 105 q
Tflush 108 2
Rflush 109
Twalk 110 4 4 n*s
Rwalk 111 n*q
Tread 116 4 8 4
Rread 117 d
Twrite 118 4 8 d
Rwrite 119 4
Tclunk 120 4
Rclunk 121
Tremove 122 4
Rremove 123
`;

const TABLES = {
  dotl: `
Rlerror 7 4
Tstatfs 8 4
Rstatfs 9 4 4 8 8 8 8 8 8 4
Tlopen 12 4 4
Rlopen 13 q 4
Tlcreate 14 4 s 4 4 4
Rlcreate 15 q 4
Tsymlink 16 4 s s 4
Rsymlink 17 q
Tmknod 18 4 s 4 4 4 4
Rmknod 19 q
Trename 20 4 4 s
Rrename 21
Treadlink 22 4
Rreadlink 23 s
Tgetattr 24 4 8
Rgetattr 25 8 q 4 4 4 8 8 8 8 8 8 8 8 8 8 8 8 8 8 8
Tsetattr 26 4 4 4 4 4 8 8 8 8 8
Rsetattr 27
Txattrwalk 30 4 4 s
Rxattrwalk 31 8
Txattrcreate 32 4 s 8 4
Rxattrcreate 33
Treaddir 40 4 8 4
Rreaddir 41 d
Tfsync 50 4 4
Rfsync 51
Tlock 52 4 1 4 8 8 4 s
Rlock 53 1
Tgetlock 54 4 1 8 8 4 s
Rgetlock 55 1 8 8 4 s
Tlink 70 4 4 s
Rlink 71
Tmkdir 72 4 s 4 4
Rmkdir 73 q
Trenameat 74 4 s 4 s
Rrenameat 75
Tunlinkat 76 4 s 4
Runlinkat 77
Tauth 102 4 s s 4
Tattach 104 4 4 s s 4
Rerror 107 - e
`,
  dotu: `
Tauth 102 4 s s 4
Tattach 104 4 4 s s 4
Rerror 107 s 4
Tcreate 114 4 s 4 1 s
Rstat 125 statu
Twstat 126 4 statu
Topen 112 4 1
Ropen 113 q 4
Rcreate 115 q 4
Tstat 124 4
Rwstat 127
`,
  legacy: `
Tauth 102 4 s s -
Tattach 104 4 4 s s -
Rerror 107 s -
Tcreate 114 4 s 4 1 -
Rstat 125 stat
Twstat 126 4 stat
Topen 112 4 1
Ropen 113 q 4
Rcreate 115 q 4
Tstat 124 4
Rwstat 127
`,
} as const;

// biome-ignore lint/suspicious/noExplicitAny: field types of every value type meet here, as in the layout itself
const compound = new Map<layout.FieldType<any>, string>([
  [layout.data, 'd'],
  [layout.string, 's'],
  [qid, 'q'],
  [qids, 'n*q'],
  [names, 'n*s'],
  [looseErrno, 'e'],
  [errorText, 's'],
  [statDotu, 'statu'],
  [statLegacy, 'stat'],
]);

const byNumber = (a: string, b: string): number => Number(a.split(' ')[1]) - Number(b.split(' ')[1]);

describe.each(Object.keys(TABLES) as (keyof typeof TABLES)[])('the message table of %s', (name) => {
  test('has the messages of the protocol, with their numbers and the widths of their fields', () => {
    const ours = dialects[name].rows.map(([message, row]) => {
      const fields = Object.values(row.layout).map((type) => compound.get(type) ?? String(type.fixed || '-'));
      return [message, row.number, ...fields].join(' ');
    });
    const wanted = [...CORE.trim().split('\n'), ...TABLES[name].trim().split('\n')];
    expect(ours.toSorted(byNumber)).toEqual(wanted.toSorted(byNumber));
  });
});
