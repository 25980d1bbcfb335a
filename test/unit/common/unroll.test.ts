// The straight-line code and the loop that stands in for it do the same; nothing but a name gets into the code.

import { afterEach, describe, expect, test, vi } from 'vitest';
import { Cursor } from '../../../src/common/cursor.ts';
import { string, u8, u16, u32 } from '../../../src/common/layout.ts';
import { unrollRead, unrollWrite } from '../../../src/common/unroll.ts';
import { Writer } from '../../../src/common/writer.ts';

const fields = [
  { name: 'type', type: u8 },
  { name: '_skipped', type: u16, keep: false },
  { name: 'constructor', type: u32 },
  { name: 'name', type: string },
];
const bytes = Buffer.from([1, 2, 2, 3, 0, 0, 0, 2, 0, 0x61, 0x62]);

afterEach(() => {
  vi.unstubAllGlobals();
});

describe.each([true, false])('where code may be made: %s', (allowed) => {
  const forbid = (): void => {
    if (allowed) return;
    class Refused {
      constructor() {
        throw new EvalError('Code generation from strings disallowed for this context');
      }
    }
    vi.stubGlobal('Function', Refused);
  };

  test('reads in order, and keeps what is to be kept', () => {
    forbid();
    const read = unrollRead(fields);
    const cursor = new Cursor(bytes);
    const into = {};
    read(cursor, into);
    expect(into).toEqual({ type: 1, constructor: 3, name: 'ab' });
    expect(Object.keys(into)).toEqual(['type', 'constructor', 'name']);
    expect([cursor.left, cursor.fault]).toEqual([0, undefined]);
  });

  test('writes in order', () => {
    forbid();
    const writer = Writer.sized(bytes.length);
    unrollWrite(fields)(writer, { type: 1, _skipped: 0x0202, constructor: 3, name: 'ab' });
    expect(writer.bytes).toEqual(bytes);
  });

  test('takes no fields at all', () => {
    forbid();
    const into = {};
    unrollRead([])(new Cursor(bytes), into);
    unrollWrite([])(Writer.sized(0), {});
    expect(into).toEqual({});
  });

  test('calls the field types as methods', () => {
    forbid();
    const own = {
      unit: 10,
      read(cursor: Cursor): number {
        return cursor.u8() * this.unit;
      },
      write(writer: Writer, value: number): void {
        writer.u8(value / this.unit);
      },
    };
    const into: Record<string, unknown> = {};
    unrollRead([{ name: 'tens', type: own }])(new Cursor(bytes), into);
    expect(into).toEqual({ tens: 10 });
    const writer = Writer.sized(1);
    unrollWrite([{ name: 'tens', type: own }])(writer, into);
    expect(writer.bytes[0]).toBe(1);
  });
});

test('a name that is no identifier is refused, not run', () => {
  for (const name of ['', 'a b', 'a;process.exit()', 'a.b', '1a', "a'", 'a\n', '__proto__']) {
    expect(() => unrollRead([{ name, type: u8 }]), name).toThrow('cannot name a field');
    expect(() => unrollWrite([{ name, type: u8 }]), name).toThrow('cannot name a field');
  }
});
