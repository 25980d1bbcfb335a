// Random messages, derived from the message table: a new row is covered by itself, a new field type without values
// here is an error, so that it cannot be forgotten.

import fc from 'fast-check';
import * as plain from '../../../../src/common/layout.ts';
import { MAXWELEM } from '../../../../src/wire/p9/constants.ts';
import { looseErrno } from '../../../../src/wire/p9/errors.ts';
import { core, dotl, type Message, type MessageName, type Row } from '../../../../src/wire/p9/messages.ts';
import { names, type Qid, qid, qids } from '../../../../src/wire/p9/types.ts';

const word = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff));
export const u64Values = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(0n, (1n << 53n) + 1n, 1n << 63n, (1n << 64n) - 1n),
);
/** Text that a name may hold as far as the codec is concerned: no NUL, whole characters. */
export const textValues = fc
  .oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'grapheme', maxLength: 6 }))
  .map((text) => text.replaceAll('\0', ''));
export const qidValues: fc.Arbitrary<Qid> = fc.record({ type: fc.nat(0xff), version: word, path: u64Values });

// biome-ignore lint/suspicious/noExplicitAny: field types of every value type meet here, as in the layout itself
const values = new Map<plain.FieldType<any>, fc.Arbitrary<unknown>>([
  [plain.u8, fc.nat(0xff)],
  [plain.u16, fc.nat(0xffff)],
  [plain.u32, word],
  [plain.mode, word],
  [plain.bits, word],
  [plain.lateU32, word],
  [plain.u64, u64Values],
  [plain.u53, fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32, Number.MAX_SAFE_INTEGER))],
  [plain.i53, fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-1, -(2 ** 32), Number.MIN_SAFE_INTEGER))],
  [plain.string, textValues],
  [plain.data, fc.uint8Array({ maxLength: 64 })],
  [qid, qidValues],
  [qids, fc.array(qidValues, { maxLength: MAXWELEM })],
  [names, fc.array(textValues, { maxLength: MAXWELEM })],
  [looseErrno, word],
]);

export const rows: readonly (readonly [MessageName, Row])[] = Object.entries({ ...core, ...dotl }) as [
  MessageName,
  Row,
][];

/** Any message of this name; `special` replaces the values of single fields. */
export function messageNamed(
  name: MessageName,
  row: Row,
  special: Record<string, fc.Arbitrary<unknown>> = {},
): fc.Arbitrary<Message> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {
    type: fc.constant(name),
    tag: fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff)),
  };
  for (const [field, type] of Object.entries(row.layout)) {
    const known = special[field] ?? values.get(type);
    if (known === undefined) throw new Error(`no values for the type of ${name}.${field}: add them here`);
    fields[field] = known;
  }
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<Message>;
}

export const anyMessage: fc.Arbitrary<Message> = fc.oneof(...rows.map(([name, row]) => messageNamed(name, row)));
