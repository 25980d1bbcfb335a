// For each rule of `ninefs check` a server that breaks it: what somebody in the middle makes of what the embedded one
// says. Servers that say they did what they refused, that do what they should hang up on, that answer late, twice or
// never.

import { rules } from '../../src/check/rules.ts';
import { errno } from '../../src/common/errno.ts';
import { Writer } from '../../src/common/writer.ts';
import { LOCK_FLAGS, LOCK_STATUS, LOCK_TYPE, OPEN } from '../../src/wire/p9/constants.ts';
import type { Message, MessageName } from '../../src/wire/p9/messages.ts';
import { type Dirent, direntSize, readDirents, writeDirent } from '../../src/wire/p9/types.ts';
import type { Asked, Tampering } from './middle.ts';
import { pathFids } from './pathfids.ts';
import { getattr, qid } from './scripted.ts';
import { successOf } from './success.ts';

/** What the rules are run with. */
export const MSIZE = 8216;

type Of<N extends MessageName> = Extract<Message, { type: N }>;
type When<N extends MessageName> = (request: Of<N>, asked: Asked) => boolean;
type Change<N extends MessageName> = (reply: Message, asked: Asked & { request: Of<N> }) => Message[];

/** Changes the replies to one type of request, where `when` says so. */
function on<N extends MessageName>(type: N, change: Change<N>, when: When<N> = () => true): Tampering {
  return {
    reply(reply, asked) {
      const { request } = asked;
      if (request.type !== type || !when(request as Of<N>, asked)) return [reply];
      return change(reply, asked as Asked & { request: Of<N> });
    },
  };
}

const error =
  (ecode: number) =>
  (reply: Message): Message[] => [{ type: 'Rlerror', tag: reply.tag, ecode }];
const twice = (reply: Message): Message[] => [reply, reply];
const lost = (): Message[] => [];
const change =
  (fields: object) =>
  (reply: Message): Message[] => [{ ...reply, ...fields } as Message];
const succeed = (reply: Message, { request }: Asked): Message[] =>
  reply.type === 'Rlerror' ? [successOf(request)] : [reply];

/** Says that it did what it refused to do. */
const pretends = (...types: MessageName[]): Tampering => ({
  reply: (reply, asked) => (types.includes(asked.request.type) ? succeed(reply, asked) : [reply]),
});

/** Says that it did what it never did. */
const idle = (type: MessageName, when: (asked: Asked) => boolean = () => true): Tampering => ({
  request: (asked) =>
    asked.request.type === type && when(asked) ? { answer: [successOf(asked.request)] } : asked.request,
});

/** Neither answers nor hangs up. */
const ignores: Tampering = { keep: () => [] };
/** Carries out what it should hang up on. */
const obeys: Tampering = { keep: (last) => (last === undefined ? [] : [successOf(last)]) };

const other = { type: 0, version: 0, path: 0x7777n };
const elsewhere = change({ qid: other });
const nth = (at: number) => (_: Message, asked: Asked) => asked.nth === at;
const made = (request: { fid: number }) => request.fid >= 100;
const second = (_: Message, asked: Asked) => asked.connection >= 2;
const text = (data: string) => change({ data: Buffer.from(data) });

/** A reply that comes only behind the Rflush. */
const behindFlush: Tampering = {
  reply(reply, { request, nth: at, held }) {
    if (request.type === 'Tgetattr' && at === 1) {
      held.push(reply);
      return [];
    }
    return request.type === 'Tflush' ? [reply, ...held.splice(0)] : [reply];
  },
};

/** The first of three Rflush comes last. */
const flushesReversed: Tampering = {
  reply(reply, { request, nth: at, held }) {
    if (request.type !== 'Tflush') return [reply];
    if (at === 1) {
      held.push(reply);
      return [];
    }
    return at === 3 ? [reply, ...held.splice(0)] : [reply];
  },
};

const lateReply = (tag: number | undefined): Message[] =>
  tag === undefined ? [] : [{ type: 'Rread', tag, data: Buffer.from('late') }];

/** Other entries in a listing. */
function entries(edit: (list: Dirent[], asked: Asked) => Dirent[], when: When<'Treaddir'> = () => true): Tampering {
  return on(
    'Treaddir',
    (reply, asked) => {
      if (reply.type !== 'Rreaddir') return [reply];
      const list = edit(readDirents(reply.data).entries as Dirent[], asked);
      const writer = Writer.sized(list.reduce((sum, { name }) => sum + direntSize(name), 0));
      for (const entry of list) writeDirent(writer, entry);
      return [{ ...reply, data: writer.bytes }];
    },
    when,
  );
}

/** The names in another directory. */
const strangers = entries((list) => list.map((entry) => ({ ...entry, name: entry.name.replace('inner', 'stranger') })));
const withoutFirst = (list: Dirent[]) => list.slice(1);
const locking = (status: number) => on('Tlock', change({ status }), second);
const blocks = locking(LOCK_STATUS.BLOCKED);
const grants = locking(LOCK_STATUS.SUCCESS);
const tooMuch = on('Tread', change({ data: Buffer.alloc(MSIZE) }), ({ count }) => count > MSIZE);

/** Does what it says that it refuses, as servers do that look at the file when they have changed it. */
function denies(tampering: Tampering, type: MessageName, ecode: number): Tampering {
  return {
    ...tampering,
    reply(reply, asked) {
      const replies = tampering.reply?.(reply, asked) ?? [reply];
      return asked.request.type === type ? error(ecode)(reply) : replies;
    },
  };
}

/** The rules on what fids mean after a rename or a removal. */
const aboutFids = rules.filter(({ id }) => /^(rename|renameat|wstat)-(fid|below|open-|again)/.test(id));
const afterRemoval = rules.filter(({ id }) => /^(unlink|remove)-again-/.test(id));

/** For each rule, what its server does wrong. */
export const wrong: Readonly<Record<string, Tampering>> = {
  ...Object.fromEntries([...aboutFids, ...afterRemoval].map(({ id }) => [id, pathFids()])),

  'version-agreed': on('Tversion', change({ version: '9P2000' })),
  'version-tag': on('Tversion', change({ tag: 7 })),
  'version-msize': on('Tversion', (reply, { request }) => [{ ...reply, msize: request.msize + 1 } as Message]),
  'version-msize-tiny': on('Tversion', (reply) => [
    { type: 'Rversion', tag: reply.tag, msize: 4096, version: '9P2000.L' },
  ]),
  'version-unknown': on('Tversion', error(errno.EIO)),
  'version-unknown-session': obeys,
  'version-suffix': on('Tversion', change({ version: '9P2000.X' })),
  'version-first': obeys,
  'version-again': {
    request: (asked) =>
      asked.request.type === 'Tversion' && asked.nth > 1 ? { answer: [successOf(asked.request)] } : asked.request,
  },
  'version-again-msize': on('Tread', (reply, { request }) => [
    { ...reply, data: Buffer.alloc(request.count) } as Message,
  ]),
  'version-again-aborts': on('Tversion', (reply) => [reply, { type: 'Rgetattr', tag: 3, ...getattr }], nth(2)),

  'attach-qid': on('Tattach', elsewhere, made),
  'attach-twice': on('Tgetattr', error(errno.EBADF), made),
  'attach-fid-in-use': pretends('Tattach'),
  'attach-nofid': pretends('Tattach'),
  'attach-unknown-afid': pretends('Tattach'),
  'attach-ordinary-afid': pretends('Tattach'),
  'attach-unknown-tree': pretends('Tattach'),
  'attach-failed': pretends('Tgetattr'),
  auth: on('Tauth', (reply) => [{ type: 'Rclunk', tag: reply.tag }]),
  'auth-failed': pretends('Tgetattr'),

  'message-pieces': on('Tgetattr', error(errno.EIO)),
  'message-pipelined': on('Tgetattr', twice),
  'message-tags': on('Tgetattr', error(errno.EINVAL), ({ tag }) => tag === 0xfffe),
  'message-unknown-type': ignores,
  'message-size-small': ignores,
  'message-size-huge': ignores,
  'message-cut': ignores,
  'message-string-beyond': ignores,
  'message-count-beyond': ignores,
  'error-type': on('Tgetattr', (reply) => [{ type: 'Rerror', tag: reply.tag, ename: '', ecode: errno.EBADF }]),
  'error-number': on('Twalk', error(70_000)),
  'error-goes-on': on('Tgetattr', error(errno.EIO), ({ fid }) => fid === 0),

  'flush-unknown': on('Tflush', error(errno.EINVAL)),
  'flush-notag': on('Tflush', error(errno.EINVAL)),
  'flush-own': on('Tflush', lost),
  'flush-finished': on('Tflush', error(errno.ENOENT)),
  'flush-flush': on('Tflush', lost, nth(1)),
  'flush-answered': on('Tflush', twice, nth(3)),
  'flush-order': behindFlush,
  'flush-once': on('Tgetattr', twice, nth(5)),
  'flush-eintr': on('Tgetattr', error(errno.EINTR), nth(9)),
  'flush-burst': behindFlush,
  'flush-repeated': flushesReversed,
  'flush-tag': on('Tflush', (reply, { request }) => [reply, { type: 'Rgetattr', tag: request.oldtag, ...getattr }]),
  'flush-walk': on('Twalk', lost, ({ newfid }) => newfid >= 100),
  'flush-open': on('Tlopen', lost),
  'flush-mkdir': on('Tmkdir', lost),
  'flush-create': on('Tlcreate', lost),
  'flush-write': on('Twrite', lost),
  'flush-clunk': on('Tclunk', lost),
  'flush-remove': on('Tremove', lost),

  'flush-running': on('Tflush', lost),
  'flush-running-reply': on('Tflush', (reply, { tagOf }) => [reply, ...lateReply(tagOf('Tread'))]),
  'flush-running-eintr': on('Tflush', (reply, { request }) => [
    { type: 'Rlerror', tag: request.oldtag, ecode: errno.EINTR },
    reply,
  ]),
  'flush-running-tag': on(
    'Tgetattr',
    (reply, { tagOf }) => [...lateReply(tagOf('Tread')), reply],
    ({ tag }, { tagOf }) => tag === tagOf('Tread'),
  ),
  'flush-running-repeated': flushesReversed,
  'flush-running-flush': on('Tflush', lost, nth(1)),
  'flush-running-others': on('Tgetattr', error(errno.EAGAIN), nth(3)),
  'flush-running-fid': on('Tclunk', error(errno.EBUSY)),
  'clunk-running': on('Tclunk', error(errno.EBUSY)),
  'version-running': on('Tversion', (reply, { tagOf }) => [reply, ...lateReply(tagOf('Tread'))], nth(2)),
  'tag-in-use': obeys,
  'hang-up-running': on('Tgetattr', error(errno.EIO), second),

  'walk-none': on('Twalk', change({ qids: [qid] })),
  'walk-none-in-place': on('Twalk', error(errno.EINVAL)),
  'walk-file': on('Twalk', error(errno.EINVAL), ({ fid, names }) => fid >= 100 && names.length === 0),
  'walk-qids': on('Twalk', change({ qids: [other, other] }), ({ names }) => names.length === 2),
  'walk-16': on(
    'Twalk',
    (reply) => [{ ...reply, qids: Array(15).fill(qid) } as Message],
    ({ names }) => names.length === 16,
  ),
  'walk-17': ignores,
  'walk-first-missing': on('Twalk', (reply) => [{ type: 'Rwalk', tag: reply.tag, qids: [] }]),
  'walk-first-missing-newfid': pretends('Tgetattr'),
  'walk-later-missing': on('Twalk', error(errno.ENOENT), ({ names }) => names.length === 3),
  'walk-partial-newfid': pretends('Tgetattr'),
  'walk-partial-in-place': on('Tgetattr', elsewhere, made),
  'walk-in-place': on('Tgetattr', elsewhere, ({ fid }) => fid === 101),
  'walk-up-at-root': on('Twalk', change({ qids: [other, other, other] })),
  'walk-up': on('Tgetattr', elsewhere, ({ fid }) => fid === 1),
  'walk-dot': on('Tgetattr', elsewhere, made),
  'walk-empty-name': pretends('Twalk', 'Tgetattr'),
  'walk-slash': pretends('Twalk'),
  'walk-slash-up': pretends('Twalk'),
  'walk-nul': ignores,
  'walk-long-name': pretends('Twalk'),
  'walk-from-file': pretends('Twalk'),
  'walk-through-file': on('Twalk', change({ qids: [qid, qid] }), ({ names }) => names.length === 2),
  'walk-symlink': on('Twalk', change({ qids: [qid, qid] }), ({ names }) => names.length === 2),
  'walk-newfid-in-use': pretends('Twalk'),
  'walk-unknown-fid': pretends('Twalk'),
  'walk-nofid': pretends('Twalk'),
  'walk-open-fid': on('Tread', error(errno.EBADF)),

  'fid-unknown': pretends('Treadlink'),
  'fid-highest': on('Tgetattr', error(errno.EBADF)),
  'fid-many': on('Twalk', error(errno.EMFILE), nth(400)),
  'fid-connections': pretends('Tgetattr'),
  clunk: pretends('Tgetattr'),
  'clunk-twice': pretends('Tclunk'),
  'clunk-others': on('Tread', error(errno.EBADF)),
  'clunk-pipelined': on('Tread', twice),
  remove: idle('Tremove'),
  'remove-directory': idle('Tremove'),
  'remove-clunks': pretends('Tclunk'),
  'remove-failed-clunks': pretends('Tclunk'),
  'remove-full-directory': pretends('Tremove'),
  'remove-other-fids': on('Tread', text('new text')),

  unlinkat: idle('Tunlinkat'),
  'unlinkat-kind': pretends('Tunlinkat'),
  'unlinkat-missing': on('Tunlinkat', error(errno.EIO)),
  'unlink-open-read': on('Tread', error(errno.ENOENT)),
  'unlink-open-getattr': on('Tgetattr', error(errno.ENOENT), nth(2)),
  'unlink-open-setattr': on('Tsetattr', error(errno.ENOENT)),
  'unlink-open-write': on('Tread', text('text'), ({ offset }) => offset === 0),
  'unlink-open-fsync': on('Tfsync', error(errno.ENOENT)),
  'unlinkat-full-directory': pretends('Tunlinkat'),
  'unlinkat-in-removed': pretends('Tunlinkat'),

  'open-qid': on('Tlopen', change({ iounit: 1_000_000 })),
  'open-twice': pretends('Tlopen'),
  'open-directory-write': pretends('Tlopen'),
  'open-truncate': on('Tgetattr', change({ size: 4 })),
  'open-read-only': pretends('Twrite'),
  'open-write-only': pretends('Tread'),
  'open-not-yet': pretends('Twrite'),
  'open-clone': pretends('Tread'),
  create: on('Tgetattr', elsewhere),
  'create-mode': on('Tgetattr', change({ mode: 0o100600 })),
  'create-exclusive': pretends('Tlcreate'),
  'create-dots': pretends('Tmkdir'),
  'create-slash': pretends('Tmkdir'),
  'create-empty-name': pretends('Tlcreate'),
  'create-long-name': pretends('Tlcreate'),
  'create-nul': ignores,
  'create-in-file': pretends('Tlcreate'),
  'mkdir-there': pretends('Tmkdir'),
  symlink: on('Treadlink', change({ target: 'elsewhere' })),
  'readlink-file': pretends('Treadlink'),
  link: on('Tgetattr', change({ nlink: 1 })),
  mknod: on('Tgetattr', change({ mode: 0o100644 })),
  rename: idle('Trename'),
  renameat: idle('Trenameat'),
  'rename-open': on('Tgetattr', error(errno.ENOENT)),
  'renameat-within': idle('Trenameat'),
  'renameat-over': on('Tgetattr', elsewhere, nth(2)),
  'renameat-directory': on('Twalk', error(errno.ENOENT), nth(6)),
  'renameat-missing': on('Trenameat', error(errno.EIO)),
  'renameat-into-removed': pretends('Trenameat'),
  'renameat-unknown-fid': pretends('Trenameat'),
  'renameat-again-open-setattr': denies(pathFids(), 'Tsetattr', errno.ESTALE),
  'rename-again-open-readdir': strangers,
  'renameat-again-open-readdir': strangers,
  wstat: idle('Twstat'),

  'read-end': on('Tread', text('x')),
  'read-across-end': on('Tread', text('text')),
  'read-nothing': on('Tread', text('x')),
  'read-count': on('Tread', text('a longer text')),
  'read-over-msize': tooMuch,
  'read-over-2g': tooMuch,
  'read-over-4g': tooMuch,
  'read-pipelined': on('Tread', text('0...............'), nth(30)),
  'write-count': on('Twrite', change({ count: 5 })),
  'write-nothing': on('Twrite', change({ count: 1 }), ({ data }) => data.length === 0),
  'write-largest': on('Twrite', error(errno.EMSGSIZE)),
  'write-hole': on('Tread', text('abbbbb'), ({ offset }) => offset === 0),
  'write-seen': on('Tread', text(''), second),
  'write-append': on('Tread', text('endt'), ({ offset }) => offset === 0),
  'write-append-turns': {
    request({ request }) {
      if (request.type !== 'Tlopen') return request;
      return { ...request, flags: request.flags & ~OPEN.APPEND };
    },
  },
  'write-far': pretends('Twrite'),
  'write-over-msize': obeys,
  fsync: on('Tfsync', error(errno.EIO)),
  'fsync-directory': on('Tfsync', error(errno.EISDIR)),

  readdir: entries((list) => list.filter(({ name }) => name !== 'entry-020')),
  'readdir-pieces': entries((list) => list.flatMap((entry) => (entry.name === 'entry-020' ? [entry, entry] : [entry]))),
  'readdir-whole': on('Treaddir', (reply) =>
    reply.type === 'Rreaddir' ? [{ ...reply, data: reply.data.subarray(0, -1) }] : [reply],
  ),
  'readdir-resume': entries(withoutFirst, nth(3)),
  'readdir-rewind': entries(withoutFirst, (_, { nth: at }) => at > 5),
  'readdir-end': on('Treaddir', (reply) => [{ ...reply, data: Buffer.alloc(25) } as Message], nth(3)),
  'readdir-too-small': on('Treaddir', (reply) => [{ type: 'Rreaddir', tag: reply.tag, data: Buffer.alloc(0) }]),
  'readdir-over-msize': on('Treaddir', change({ data: Buffer.alloc(MSIZE) })),
  'readdir-removing': entries(withoutFirst, nth(3)),
  'readdir-qids': entries((list) => list.map((entry) => ({ ...entry, qid: other }))),
  'readdir-not-open': pretends('Treaddir'),
  'readdir-file': pretends('Treaddir'),
  'readdir-read': pretends('Tread'),

  getattr: on('Tgetattr', change({ valid: 1 })),
  'setattr-size': idle('Tsetattr'),
  'setattr-mode': idle('Tsetattr'),
  'setattr-times': idle('Tsetattr'),
  'setattr-nothing': on('Tsetattr', error(errno.EINVAL)),
  'setattr-directory-size': pretends('Tsetattr'),
  statfs: on('Tstatfs', change({ bsize: 0 })),
  'qid-distinct': on('Tgetattr', elsewhere),
  'qid-version': on('Twalk', change({ qids: [{ ...qid, version: 5 }] }), ({ names }) => names.length === 1),
  'qid-type': on('Tgetattr', elsewhere),

  lock: on('Tlock', change({ status: LOCK_STATUS.BLOCKED })),
  'lock-conflict': grants,
  'lock-shared': blocks,
  'lock-shared-exclusive': grants,
  'lock-ranges': blocks,
  'lock-overlap': grants,
  'lock-to-end': grants,
  'lock-same-owner': on('Tlock', change({ status: LOCK_STATUS.BLOCKED }), nth(2)),
  'lock-unlock': blocks,
  'lock-split': grants,
  'lock-clunk': blocks,
  'lock-hang-up': locking(LOCK_STATUS.ERROR),
  'lock-block': on('Tlock', change({ status: 0 }), ({ flags }) => (flags & LOCK_FLAGS.BLOCK) !== 0),
  getlock: on('Tgetlock', change({ clientId: 'somebody else' })),
  'getlock-free': on('Tgetlock', change({ kind: LOCK_TYPE.WRLCK })),
  'lock-not-open': pretends('Tlock'),

  xattr: on('Tread', text('other text'), ({ offset }) => offset === 0),
  'xattr-list': on('Tread', (reply) => [
    { ...reply, data: Buffer.from((reply as Of<'Rread'>).data).fill(0x61) } as Message,
  ]),
  'xattr-read-long': on('Tread', error(errno.EINVAL), ({ count }) => count > 'some value'.length),
  'xattr-read-end': on('Tread', text('x'), ({ offset }) => offset > 0),
  'xattr-missing': on('Txattrwalk', error(errno.EIO)),
  'xattr-newfid-in-use': pretends('Txattrwalk'),
  'xattr-replace': on('Tread', text('other'), ({ offset }) => offset === 0),
  'xattr-flag-create': pretends('Tclunk'),
  'xattr-flag-replace': pretends('Tclunk'),
  'xattr-remove': idle('Txattrcreate', ({ request }) => request.type === 'Txattrcreate' && request.size === 0),
  'xattr-short': {
    request: ({ request, nth: at }) =>
      request.type === 'Txattrcreate' && at === 2 ? { ...request, size: 'short'.length } : request,
  },
  'xattr-over': pretends('Twrite', 'Tclunk'),
  'xattr-fid': pretends('Tlopen'),
};
