// Names and other text of peers: bytes with them, strings here, and nothing is lost between the two. Valid UTF-8 is the plain
// string. Each byte that is no part of valid UTF-8 (overlong forms, encoded surrogates and what lies above U+10FFFF included) is
// one lone surrogate, U+DC80 to U+DCFF, as Python's surrogateescape has it; such a surrogate is called an escape here.
// Guarantees: encodeText(decodeText(bytes)) gives the same bytes, so no two byte strings ever become one string.
// Does not promise the way back: escapes that a program puts side by side may make valid UTF-8, which is decoded as such.

import { isUtf8 } from 'node:buffer';
import { errno } from './errno.ts';
import { ErrnoError } from './errors.ts';

/** An escape is this much above its byte, which has its highest bit set. */
const ESCAPE = 0xdc00;
/** With the flag `u` the halves of a pair do not match. */
const LONE = /[\ud800-\udfff]/gu;
const ESCAPES = /[\udc80-\udcff]/gu;

export function decodeText(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : decodeWithEscapes(bytes);
}

function decodeWithEscapes(bytes: Buffer): string {
  let text = '';
  let from = 0;
  for (let at = 0; at < bytes.length; ) {
    const size = sequenceAt(bytes, at);
    at += size;
    if (size > 0) continue;
    if (from < at) text += bytes.toString('utf8', from, at);
    text += String.fromCharCode(ESCAPE + bytes[at]!);
    at++;
    from = at;
  }
  return text + bytes.toString('utf8', from);
}

/** Bytes of the character that begins at a place, 0 where none does (The Unicode Standard, table 3-7). */
function sequenceAt(bytes: Buffer, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  for (let i = 1; i < size; i++) {
    const byte = bytes[at + i] ?? 0;
    if (byte < low || byte > high) return 0;
    low = 0x80;
    high = 0xbf;
  }
  return size;
}

/** How many bytes the text has with a peer. */
export function byteLength(text: string): number {
  const length = Buffer.byteLength(text, 'utf8');
  if (length === text.length || text.isWellFormed()) return length;
  // Node counts three bytes for a lone surrogate
  return length - 2 * (text.match(ESCAPES)?.length ?? 0);
}

/** Throws ErrnoError EILSEQ for a lone surrogate that is no escape: no bytes stand for it. */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(byteLength(text));
  writeText(text, bytes, 0, bytes.length);
  return bytes;
}

/** Writes the `length` bytes of the text, which byteLength() has told; throws as encodeText() does. */
export function writeText(text: string, into: Buffer, at: number, length: number): void {
  if (text.isWellFormed()) into.write(text, at, length, 'utf8');
  else writeWithEscapes(text, into, at);
}

function writeWithEscapes(text: string, into: Buffer, start: number): void {
  let at = start;
  let from = 0;
  for (const { 0: found, index } of text.matchAll(LONE)) {
    const byte = found.charCodeAt(0) - ESCAPE;
    if (byte < 0x80 || byte > 0xff) throw new ErrnoError(errno.EILSEQ, notText(found, index));
    at += into.write(text.slice(from, index), at, 'utf8');
    into[at++] = byte;
    from = index + 1;
  }
  into.write(text.slice(from), at, 'utf8');
}

function notText(found: string, index: number): string {
  const code = found.charCodeAt(0).toString(16).toUpperCase();
  return `no bytes stand for the lone surrogate U+${code} at ${index}, only U+DC80 to U+DCFF do for what is not UTF-8`;
}

/** Text as part of one line of a log: JSON's escapes keep control characters out of it, and an escape is shown as \xff. */
export function quote(text: string): string {
  const quoted = JSON.stringify(text);
  if (text.isWellFormed()) return quoted;
  // a backslash of the text stands doubled here, and is passed over with what follows it
  return quoted.replace(/\\(?:udc([89a-f][0-9a-f])|.)/g, (all, byte?: string) => (byte ? `\\x${byte}` : all));
}

/** As much of a text, for a line that should not be as long as a peer likes. */
export function quoteStart(text: string, longest: number): string {
  return quote(text.length > longest ? `${text.slice(0, longest)}...` : text);
}
