// The message table against the other public description of the protocol: the field lists of the manual pages and of
// diod's protocol.md, written here as text in their notation, so that a slip in the table cannot hide in a round trip.

import { describe, expect, test } from 'vitest';
import * as layout from '../../../../src/common/layout.ts';
import { looseErrno } from '../../../../src/wire/p9/errors.ts';
import { names, qid, qids } from '../../../../src/wire/p9/types.ts';
import { rows } from './arbitraries.ts';

const TABLE = `
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
Tversion 100 4 s
Rversion 101 4 s
Tauth 102 4 s s 4
Rauth 103 q
Tattach 104 4 4 s s 4
Rattach 105 q
Rerror 107 e
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

// biome-ignore lint/suspicious/noExplicitAny: field types of every value type meet here, as in the layout itself
const compound = new Map<layout.FieldType<any>, string>([
  [layout.data, 'd'],
  [layout.string, 's'],
  [qid, 'q'],
  [qids, 'n*q'],
  [names, 'n*s'],
  [looseErrno, 'e'],
]);

describe('the message table', () => {
  test('has the messages of the protocol, with their numbers and the widths of their fields', () => {
    const ours = rows
      .toSorted(([, a], [, b]) => a.number - b.number)
      .map(([name, row]) => {
        const fields = Object.values(row.layout).map((type) => compound.get(type) ?? String(type.fixed));
        return [name, row.number, ...fields].join(' ');
      });
    expect(ours).toEqual(TABLE.trim().split('\n'));
  });
});
