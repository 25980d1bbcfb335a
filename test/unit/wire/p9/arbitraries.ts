// Random messages, derived from the message table: a new row is covered by itself, a new field type without values
// here is an error, so that it cannot be forgotten.

import fc from 'fast-check';
import { Cursor } from '../../../../src/common/cursor.ts';
import * as plain from '../../../../src/common/layout.ts';
import { decodeText } from '../../../../src/common/text.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../../../src/wire/p9/codec.ts';
import { MAXWELEM, NONUNAME } from '../../../../src/wire/p9/constants.ts';
import { errorText, looseErrno } from '../../../../src/wire/p9/errors.ts';
import { core, dotl, dotu, legacy, type Message, type MessageName } from '../../../../src/wire/p9/messages.ts';
import type { AnyRow, Rows } from '../../../../src/wire/p9/rows.ts';
import { type Stat, statDotu, statLegacy } from '../../../../src/wire/p9/stat.ts';
import { names, type Qid, qid, qids } from '../../../../src/wire/p9/types.ts';

const word = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff));
export const u64Values = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(0n, (1n << 53n) + 1n, 1n << 63n, (1n << 64n) - 1n),
);
/** Text that a name may hold as far as the codec is concerned: any bytes but NUL. */
export const textValues = fc.oneof(
  fc.string({ maxLength: 12 }).map((text) => text.replaceAll('\0', '')),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => text.replaceAll('\0', '')),
  fc.uint8Array({ min: 1, maxLength: 12 }).map((bytes) => decodeText(Buffer.from(bytes))),
);
export const qidValues: fc.Arbitrary<Qid> = fc.record({ type: fc.nat(0xff), version: word, path: u64Values });

/** Any stat, with values of its own in what only .u sends. */
export function statValues(extended: boolean): fc.Arbitrary<Stat> {
  const [text, id] = extended ? [textValues, word] : [fc.constant(''), fc.constant(NONUNAME)];
  return fc.record(
    {
      type: fc.nat(0xffff),
      dev: word,
      qid: qidValues,
      mode: word,
      atime: word,
      mtime: word,
      length: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, -1, 2 ** 32, Number.MAX_SAFE_INTEGER)),
      name: textValues,
      uid: textValues,
      gid: textValues,
      muid: textValues,
      extension: text,
      nUid: id,
      nGid: id,
      nMuid: id,
    },
    { noNullPrototype: true },
  );
}

// biome-ignore lint/suspicious/noExplicitAny: field types of every value type meet here, as in the layout itself
const values = new Map<plain.FieldType<any>, fc.Arbitrary<unknown>>([
  [plain.u8, fc.nat(0xff)],
  [plain.u16, fc.nat(0xffff)],
  [plain.u32, word],
  [plain.mode, word],
  [plain.bits, word],
  [plain.bits8, fc.nat(0xff)],
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
  [errorText, textValues],
  [statDotu, statValues(true)],
  [statLegacy, statValues(false)],
]);

/** Any message of this name; `special` replaces the values of single fields. */
export function messageNamed(
  name: MessageName,
  row: AnyRow,
  special: Record<string, fc.Arbitrary<unknown>> = {},
): fc.Arbitrary<Message> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {
    type: fc.constant(name),
    tag: fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff)),
  };
  for (const [field, type] of Object.entries(row.layout)) {
    const absent = type.fixed === 0 ? fc.constant(type.read(new Cursor(Buffer.alloc(0)))) : undefined;
    const known = special[field] ?? absent ?? values.get(type);
    if (known === undefined) throw new Error(`no values for the type of ${name}.${field}: add them here`);
    fields[field] = known;
  }
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<Message>;
}

export interface Dialect {
  readonly codec: Codec;
  readonly rows: readonly (readonly [MessageName, AnyRow])[];
  readonly anyMessage: fc.Arbitrary<Message>;
}

function dialect(codec: Codec, table: Rows): Dialect {
  const rows = Object.entries({ ...core, ...table }) as [MessageName, AnyRow][];
  return { codec, rows, anyMessage: fc.oneof(...rows.map(([name, row]) => messageNamed(name, row))) };
}

export const dialects = {
  dotl: dialect(dotlCodec, dotl),
  dotu: dialect(dotuCodec, dotu),
  legacy: dialect(legacyCodec, legacy),
} as const;
