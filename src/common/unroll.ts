// Straight-line code for a list of named fields: `into.fid = f0.read(cursor); into.mask = f1.read(cursor); ...`.
// A loop over the list stores under another name at every turn, which costs the engine more than reading the field does;
// unrolled, an Rgetattr is decoded in less than half the time. Nothing but names from our own tables
// gets into the code, and only such as are identifiers. Where code may not be made at run time
// (node --disallow-code-generation-from-strings) the loop does the same.

import type { Cursor } from './cursor.ts';
import type { Writer } from './writer.ts';

interface NamedField {
  readonly name: string;
  readonly type: { read(cursor: Cursor): unknown; write(writer: Writer, value: unknown): void };
}

/** Reads all fields in order and stores those whose `keep` is not false. */
export function unrollRead(
  fields: readonly (NamedField & { readonly keep?: boolean })[],
): (cursor: Cursor, into: Record<string, unknown>) => void {
  const lines = fields.map(({ name, keep }, i) =>
    keep === false ? `f${i}.read(cursor);` : `into.${identifier(name)} = f${i}.read(cursor);`,
  );
  return (make(fields, 'cursor, into', lines) ??
    ((cursor: Cursor, into: Record<string, unknown>) => {
      for (const { name, type, keep } of fields) {
        const value = type.read(cursor);
        if (keep !== false) into[name] = value;
      }
    })) as (cursor: Cursor, into: Record<string, unknown>) => void;
}

/** Writes all fields in order. */
export function unrollWrite(fields: readonly NamedField[]): (writer: Writer, from: Record<string, unknown>) => void {
  const lines = fields.map(({ name }, i) => `f${i}.write(writer, from.${identifier(name)});`);
  return (make(fields, 'writer, from', lines) ??
    ((writer: Writer, from: Record<string, unknown>) => {
      for (const { name, type } of fields) type.write(writer, from[name]);
    })) as (writer: Writer, from: Record<string, unknown>) => void;
}

/** A function of these parameters that sees each field's type as f0, f1, ...; undefined where the engine may not. */
function make(fields: readonly NamedField[], parameters: string, lines: readonly string[]): unknown {
  const types = fields.map((_, i) => `f${i}`);
  const source = `'use strict'; return (${parameters}) => {\n${lines.join('\n')}\n};`;
  let factory: (...types: unknown[]) => unknown;
  try {
    factory = new Function(...types, source) as typeof factory;
  } catch (error) {
    if (error instanceof EvalError) return undefined; // forbidden, not wrong
    throw error;
  }
  return factory(...fields.map(({ type }) => type));
}

function identifier(name: string): string {
  if (!/^[A-Za-z_]\w*$/.test(name) || name === '__proto__') throw new Error(`'${name}' cannot name a field`);
  return name;
}
