// The faults tree: files and directories whose behaviour a client has to survive, each with a text beside it that says what
// is right. What is in it:
//   hang late mute ...           reads and writes of the file misbehave, see faults/faults.ts
//   slow/MS errno/N cut/BYTES    the same with a number, any number
//   ops/FAULT/MESSAGE/           a small memory tree in which that one message misbehaves: ops/hang/Tlopen, ops/slow,200/Tread
//   listing names collide        directories that are slow to list, full of hostile names, with files of one qid
//   synth/                       what QEMU's synthetic tree is made of: a file that blocks, a chain of directories, a long listing
//   counters/                    the server's tags, fids and flushes, and what happened at each fault
// All clients share it; what they make under ops/ stays until the server ends.

import { Abort } from '../../common/abort.ts';
import { pause } from '../../common/deadline.ts';
import { CancelledError } from '../../common/errors.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { MessageName } from '../../wire/p9/messages.ts';
import { requestNames, traitsOf } from '../../wire/p9/traits.ts';
import type { Fault } from '../fault.ts';
import type { ServerStats } from '../stats.ts';
import type { Tree, User } from '../tree.ts';
import { counters } from './counters.ts';
import { type Kind, kinds, numbered, numberedFault } from './faults/faults.ts';
import { FaultyNode } from './faults/node.ts';
import { Place } from './faults/place.ts';
import type { Inode } from './memory/inode.ts';
import { memoryTree } from './memory.ts';
import { directory, file, type SynthDirectory, type SynthEntries, type SynthEntry, synthTree, text } from './synth.ts';

/** Bytes in the files that misbehave. */
const CONTENT = 65536;
/** Enough for what a test makes, and no more for whoever wants to fill it. */
const CAPACITY = 256 * 1024 * 1024;
/** qid.paths of the files that are made of functions, far from those of the memory tree. */
const FIRST_PATH = 1n << 40n;
/** And those that several of them have. */
const COLLIDING = 1n << 41n;
/** Numbered places that are remembered; a client may ask for any number. */
const MAX_PLACES = 4096;

const BYTES = ['Tread', 'Twrite'] as const;

/** The messages that have directories in ops/: those that are about a file. */
const MESSAGES: readonly MessageName[] = requestNames.filter((name) => traitsOf(name).subject !== undefined);

const ROOT: User = { uid: 0, gid: 0, groups: [0], uname: 'root', newGroup: 'any' };

/** Bytes that say where they are from: `hang 0000`, `hang 0001`, ... */
function contentOf(name: string): Buffer {
  const line = (at: number) => `${name} ${String(at).padStart(4, '0')}\n`;
  return Buffer.from(Array.from({ length: CONTENT / line(0).length + 1 }, (_, at) => line(at)).join('')).subarray(
    0,
    CONTENT,
  );
}

export function faultsTree(): Tree {
  let stats: (() => ServerStats) | undefined;
  const places = new Map<string, Place>();

  function place(name: string, kind: Kind, messages: readonly MessageName[]): Place {
    const known = places.get(name);
    if (known !== undefined) return known;
    const made = new Place(name, kind, messages);
    if (places.size < MAX_PLACES) places.set(name, made);
    return made;
  }

  // ---- files

  function faulty(name: string, kind: Kind): SynthEntry {
    const at = place(name, kind, kind.only === undefined ? BYTES : BYTES.filter((type) => kind.only?.includes(type)));
    const content = contentOf(name);
    return file(
      () => ({
        read: (offset, count) => content.subarray(offset, offset + count),
        write: (_offset, data) => data.length,
      }),
      0o666,
      { faultOf: (type) => at.faultOf(type) },
    );
  }

  function numberedFiles(name: string, examples: readonly number[]): SynthDirectory {
    const find = (n: string) => {
      const kind = numberedFault(`${name}/${n}`);
      return kind === undefined ? undefined : faulty(kind.name, kind);
    };
    const shown = examples.flatMap((n): [string, SynthEntry][] => {
      const entry = find(`${n}`);
      return entry === undefined ? [] : [[`${n}`, entry]];
    });
    return directory(() => Object.fromEntries(shown), 0o555, { find });
  }

  const files: [string, SynthEntry][] = [
    ...kinds.flatMap((kind): [string, SynthEntry][] => [
      [kind.name, faulty(kind.name, kind)],
      [`${kind.name}.txt`, text(() => `${kind.right}\n`)],
    ]),
    ...numbered.flatMap(({ name, unit, examples, right }): [string, SynthEntry][] => [
      [name, numberedFiles(name, examples)],
      [`${name}.txt`, text(() => `${name}/N, where N is ${unit}. ${right}\n`)],
    ]),
  ];

  // ---- ops

  const memory = memoryTree({ capacity: CAPACITY });
  const tops = new Map<string, FaultyNode>();

  /** A directory of its own in the memory tree, with something in it to try the message on. */
  function furnish(name: string): Inode {
    memory.root.mkdir(name, 0o777, 0, ROOT);
    const top = memory.root.walk(name, ROOT);
    const { node, file: opened } = top.create('file', OPEN.RDWR, 0o666, 0, ROOT);
    opened.write(0, contentOf('file').subarray(0, 8192), new Abort());
    opened.close();
    node.setxattr('user.ninefs', Buffer.from('value'), 0, ROOT);
    node.release();
    top.symlink('link', 'file', 0, ROOT);
    top.mkdir('dir', 0o777, 0, ROOT);
    const dir = top.walk('dir', ROOT);
    for (let i = 0; i < 20; i++) dir.mknod(`entry${i}`, 0o100666, { major: 0, minor: 0 }, 0, ROOT);
    dir.release();
    top.setattr({ mode: 0o1777 }, undefined, ROOT);
    return top;
  }

  function part(kind: Kind, message: MessageName): SynthEntry {
    const name = `ops/${kind.name}/${message}`;
    const at = place(name, kind, [message]);
    return {
      kind: 'other',
      root(above) {
        const node = tops.get(name) ?? FaultyNode.top(furnish(name.replaceAll('/', ' ')), above, at);
        tops.set(name, node);
        node.retain();
        return node;
      },
    };
  }

  function parts(kind: Kind): SynthDirectory {
    const fits = MESSAGES.filter((message) => kind.only?.some((only) => only === message) ?? true);
    return directory(() => Object.fromEntries(fits.map((message) => [message, part(kind, message)])));
  }

  const ops = directory(
    () =>
      Object.fromEntries([
        ...kinds.map((kind) => [kind.name, parts(kind)] as const),
        ...numbered.flatMap(({ name, examples }) =>
          examples.flatMap((n) => {
            const kind = numberedFault(`${name},${n}`);
            return kind === undefined ? [] : [[kind.name, parts(kind)] as const];
          }),
        ),
      ]),
    0o555,
    {
      find(name) {
        const kind = numberedFault(name);
        return kind === undefined || tops.size >= MAX_PLACES ? undefined : parts(kind);
      },
    },
  );

  const root = directory({
    ...Object.fromEntries(files),
    ...oddities(),
    ops,
    'ops.txt': text(
      () =>
        'ops/FAULT/MESSAGE is a directory like any other, but for one message, which misbehaves as the file FAULT does: ' +
        'ops/hang/Tlopen, ops/late/Tlcreate, ops/slow,200/Tgetattr. The files of the faults say what is right.\n',
    ),
    synth: synth(),
    counters: counters(
      () => stats?.(),
      () => places.values(),
    ),
  });
  const tree = synthTree(root, 'faults:', FIRST_PATH);
  return {
    name: tree.name,
    misbehaves: true,
    attach: (...args) => tree.attach(...args),
    serving(from) {
      stats = from;
    },
    close() {
      for (const top of tops.values()) top.release();
      memory.close();
    },
  };
}

// ---- directories that are odd in themselves

/** Few entries at a time, each lot after a pause. */
const slowListing: Fault = async ({ message, signal, perform }) => {
  await pause(50, signal);
  return perform('count' in message ? { ...message, count: Math.min(message.count, 256) } : message);
};

function oddities(): SynthEntries {
  const something = () => text(() => 'content\n');
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`entry${i}`, something()]));
  const hostile = ['', '.', '..', '/', 'a/b', '../escape', '/etc/passwd', 'nul\0nul', '\0', 'x'.repeat(256)];
  const odd = ['good', ' ', 'new\nline', '-rf', '\u202eevil', '\x1b[31mred', 'y'.repeat(255)];
  return {
    listing: directory(many, 0o555, {
      faultOf: (type) => (type === 'Treaddir' || type === 'Tread' ? slowListing : undefined),
    }),
    'listing.txt': text(
      () =>
        'The listing of 200 entries comes a few at a time, each lot after 50 ms. It is complete, with no name twice, also ' +
        'when its reading is interrupted and goes on.\n',
    ),
    names: directory(Object.fromEntries([...hostile, ...odd].map((name) => [name, something()]))),
    'names.txt': text(
      () =>
        `The listing holds names that no directory can have: empty, dots, with slashes or NUL, too long. They are left out, ` +
        `and the ${odd.length} others are shown, odd as they are.\n`,
    ),
    collide: directory({
      one: colliding('one\n', COLLIDING),
      two: colliding('two!\n', COLLIDING),
      left: directory({ file: colliding('left\n', COLLIDING + 2n) }, 0o555, { path: COLLIDING + 1n }),
      right: directory({ file: colliding('right\n', COLLIDING + 2n) }, 0o555, { path: COLLIDING + 1n }),
    }),
    'collide.txt': text(
      () =>
        'Two files with the same qid. one reads "one", two reads "two!", also when both are open. Two directories likewise, ' +
        'as of two file systems below one export: left/file reads "left", right/file reads "right".\n',
    ),
  };
}

function colliding(content: string, path: bigint): SynthEntry {
  return file(() => ({ read: (offset, count) => Buffer.from(content).subarray(offset, offset + count) }), 0o444, {
    path,
  });
}

// ---- the counterpart of QEMU's synthetic tree

function synth(): SynthDirectory {
  let chain: SynthDirectory = directory({});
  for (let i = 15; i >= 0; i--) chain = directory({ [String(i).padStart(2, '0')]: chain });
  return directory({
    walk: chain,
    lopen: file(() => ({ read: () => Buffer.alloc(0), write: (_offset, data) => data.length })),
    write: file(() => ({ write: (_offset, data) => data.length })),
    /** Blocks until it is flushed when the first byte is not 0; takes one byte at once when it is. */
    flush: file(() => ({
      write(_offset, data, signal) {
        if ((data[0] ?? 0) === 0) return 1;
        return new Promise((_resolve, reject) => {
          const end = () => reject(new CancelledError());
          if (signal.aborted) end();
          else signal.addEventListener('abort', end);
        });
      },
    })),
    readdir: directory(() => Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`file${i}`, text(() => '')]))),
  });
}
