// From an error reply to an errno, for each dialect: .L sends the number, 9P2000 sends words, .u sends both and its servers
// are not to be trusted with the number.
// Guarantees: words that nobody knows are EIO; what a text costs is bounded, whatever its length.
// Sources of the words: Plan 9's kernel and its file servers, plan9port's lib9p, u9fs, Inferno, Go's os and syscall packages
// and the 9P libraries written in it, and strerror(3) for the servers that pass on what their system says.

import { errno } from '../../common/errno.ts';
import { errorWords } from '../../common/strerror.ts';
import type { Message, RefusalName } from '../../wire/p9/messages.ts';

export type ErrorReply = Message<RefusalName>;

/** Beside strerror's; lower case. Where several occur in a text, see errnoOfText. */
const PHRASES: readonly (readonly [number, readonly string[]])[] = [
  [
    errno.ENOENT,
    [
      'file does not exist',
      'does not exist',
      'file not found',
      'not found',
      'directory entry not found',
      'no such file',
      'no such entry',
      'file has been removed',
      'file removed',
      'phase error',
    ],
  ],
  [
    errno.EEXIST,
    ['file already exists', 'already exists', 'directory entry already exists', 'file or directory already exists'],
  ],
  [
    errno.EACCES,
    ['access permission denied', 'access denied', 'read prohibited', 'write prohibited', 'exec prohibited'],
  ],
  [
    errno.EPERM,
    [
      'not owner',
      'not file owner',
      'not in group',
      'create prohibited',
      'creation prohibited',
      'mounted directory forbids creation',
      'remove prohibited',
      'stat prohibited',
      'wstat prohibited',
      'wstat not allowed',
      'no wstat allowed',
      'only owner can change group',
      'attempt to change',
      'cannot remove root',
      "can't remove root",
      'not permitted',
    ],
  ],
  [
    errno.ENOTDIR,
    ['file is not a directory', 'create in non-directory', 'walk in non-directory', 'in a non-directory'],
  ],
  [errno.EISDIR, ['file is a directory', 'is directory', 'cannot write to a directory', 'directory not writable']],
  [errno.ENOTEMPTY, ['directory is not empty', 'not empty']],
  [
    errno.EBUSY,
    [
      'file is in use',
      'file in use',
      'already in use',
      'device or object already in use',
      'exclusive use file already open',
      'exclusive lock',
      'file is exclusive-use',
      'file is locked',
      'resource busy',
    ],
  ],
  [
    errno.EBADF,
    [
      'unknown fid',
      'bad fid',
      'fid unknown',
      'fid unknown or out of range',
      'fid not open',
      'file not open',
      'file not open for i/o',
      'file not opened',
      'file already closed',
      'fid already in use',
      'fid in use',
      'duplicate fid',
      'bad use of fid',
      'inappropriate use of fd',
      'inappropriate use of fid',
      'fd out of range or not open',
      'bad file number',
      'file already open',
      'not open for reading',
      'not open for writing',
      'clone of open fid',
    ],
  ],
  [
    errno.EINVAL,
    [
      'illegal name',
      'bad character in file name',
      'bad character in filename',
      'file name syntax',
      'name syntax',
      'illegal mode',
      'illegal open mode',
      'bad open mode',
      'bad mode',
      'illegal offset',
      'bad offset',
      'bad offset in directory read',
      'seek in directory',
      'negative offset',
      'illegal argument',
      'bad arg in system call',
      'bad argument',
      'bad parameters',
      'invalid parameters',
      'too small read size for dir entry',
      'i/o count too small',
      'count too small',
      'bad attach specifier',
      'bad process or channel control request',
      'bad ctl message',
    ],
  ],
  [errno.ESPIPE, ['seek on a stream', "can't seek"]],
  [errno.EMSGSIZE, ['read or write too large', 'i/o count too large', 'count too large', 'message too large']],
  [errno.ENAMETOOLONG, ['name too long', 'filename too long']],
  [
    errno.EROFS,
    ['file system read only', 'read-only filesystem', 'readonly filesystem', 'read only file system', 'read only'],
  ],
  [
    errno.ENOSPC,
    ['file system full', 'filesystem full', 'disk full', 'disk is full', 'no space left', 'out of blocks'],
  ],
  [errno.EDQUOT, ['quota exceeded']],
  [errno.ENOMEM, ['out of memory', 'no memory', 'no free memory', 'kernel allocate failed', 'no free blocks']],
  [
    errno.ENFILE,
    ['no free file descriptors', 'too many files', 'too many fids', 'no free channels', 'no free devices'],
  ],
  [errno.EINTR, ['interrupted', 'request flushed', 'flushed', 'aborted']],
  [
    errno.EOPNOTSUPP,
    [
      'not supported',
      'unsupported',
      'not implemented',
      'unimplemented',
      'unknown message',
      'bad message type',
      'bad fcall type',
      'unknown operation',
      'operation not allowed',
    ],
  ],
  [errno.EXDEV, ['cross-device link', 'different directory', 'not in the same directory']],
  [errno.EPIPE, ['i/o on hungup channel', 'hungup channel', 'hungup stream', 'write to hungup stream']],
  [errno.EIO, ['i/o error', 'io error', 'mount rpc error', 'input/output error']],
  [errno.ETIMEDOUT, ['timed out', 'timeout', 'deadline exceeded']],
  [errno.ENODEV, ['unknown device in # filename', 'device shut down', 'mounted device shut down']],
  [errno.EUSERS, ['unknown user', 'unknown uid', 'no such user', 'user unknown']],
  [errno.EINVAL, ['unknown group', 'unknown gid', 'no such group', 'group unknown']],
  [errno.EACCES, ['authentication failed', 'authentication required', 'not authenticated', 'unauthenticated']],
];

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
