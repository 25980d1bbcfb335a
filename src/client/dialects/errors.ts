// From an error reply to an errno, for each dialect: .L sends the number, 9P2000 sends words, .u sends both and its servers
// are not to be trusted with the number.
// Guarantees: words that nobody knows are EIO; what a text costs is bounded, whatever its length.
// The words are those of phrases.ts, and of strerror(3) for the servers that pass on what their system says.

import { errno } from '../../common/errno.ts';
import { errorWords } from '../../common/strerror.ts';
import type { Message, RefusalName } from '../../wire/p9/messages.ts';
import { PHRASES } from './phrases.ts';

export type ErrorReply = Message<RefusalName>;

/** The longest first: "file does not exist" says more than "does not exist". */
const byLength: readonly (readonly [string, number])[] = [
  ...PHRASES.flatMap(([number, texts]) => texts.map((text) => [text, number] as const)),
  ...[...errorWords].map(([number, text]) => [text.toLowerCase(), number] as const),
].sort(([a], [b]) => b.length - a.length);

const exact: ReadonlyMap<string, number> = new Map(byLength.toReversed());

/** Characters from the end of a text that are looked at: Go's errors name the file first and what is wrong last. */
const LOOKED_AT = 512;
/** Texts whose errno is remembered. */
const REMEMBERED = 256;
const remembered = new Map<string, number | undefined>();

function search(text: string): number | undefined {
  const whole = exact.get(text);
  if (whole !== undefined) return whole;
  const found =
    byLength.find(([phrase]) => text.endsWith(phrase)) ??
    byLength.find(([phrase]) => text.startsWith(phrase)) ??
    byLength.find(([phrase]) => text.includes(phrase));
  return found?.[1];
}

/**
 * The errno that a text stands for, or undefined. The whole text counts before how it ends, that before how it begins, and
 * that before what is in it somewhere: a name in the text may contain anything.
 */
export function errnoOfText(text: string): number | undefined {
  const key = text.slice(-LOOKED_AT).trim().toLowerCase().replace(/[.!]$/, '');
  // what is cut out of a text keeps all of it in memory
  if (text.length > LOOKED_AT) return search(key);
  if (remembered.has(key)) return remembered.get(key);
  if (remembered.size >= REMEMBERED) remembered.clear();
  const number = search(key);
  remembered.set(key, number);
  return number;
}

/** Numbers that say nothing: what a server sends that had only the text (go9p sends EIO with it), or another system's. */
const VAGUE: ReadonlySet<number> = new Set([0, errno.EIO, errno.EINVAL]);
/** Linux takes no larger ones in .u (net/9p/client.c); Plan 9's own are not errnos at all. */
const LARGEST = 512;

/** The number of an error reply; what is no errno passes as it is, to be refused by whoever knows the call. */
export function errnoOfNumber({ ecode }: ErrorReply): number {
  return ecode;
}

export function errnoOfBoth(reply: ErrorReply): number {
  const { ecode } = reply;
  if (!VAGUE.has(ecode) && ecode < LARGEST) return ecode;
  const said = errnoOfText(textOf(reply));
  if (said !== undefined) return said;
  return ecode === 0 || ecode >= LARGEST ? errno.EIO : ecode;
}

export function errnoOfWords(reply: ErrorReply): number {
  return errnoOfText(textOf(reply)) ?? errno.EIO;
}

/** What the server says in words; empty where the dialect has none. */
function textOf(reply: ErrorReply): string {
  return reply.type === 'Rerror' ? reply.ename : '';
}
