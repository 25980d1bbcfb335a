// What a process sees of a file once it has a lock on it: never what was read before, also where it did not wait for a read of
// the same file that hangs, and where that read, begun before, is answered after.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import { deferred } from '../../src/common/deadline.ts';
import type { Fault } from '../../src/server/fault.ts';
import { memoryTree, type Serving, serve } from '../../src/server/server.ts';
import type { Tree, User } from '../../src/server/tree.ts';
import { FaultyNode } from '../../src/server/trees/faults/node.ts';
import { Place } from '../../src/server/trees/faults/place.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { python } from '../support/posix.ts';
import { withTempDir } from '../support/tempdir.ts';
import { whyNoMounts } from '../support/toymount.ts';
import { until } from '../support/until.ts';

const SIZE = 1024 * 1024;
const FAR = SIZE / 2;
const ROOT: User = { uid: 0, gid: 0, groups: [0], uname: 'root', newGroup: 'any' };

/**
 * Says what byte there is at an offset, or takes a lock on the whole file and is interrupted meanwhile, again and again: ever more
 * seldom, as the signals may come before the server has granted it, or before it was asked.
 */
const PROGRAM = `
import ctypes, errno, fcntl, os, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDWR)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
def lock():
    whole = ctypes.create_string_buffer(struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    seconds = 0.1
    while True:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        taken = libc.fcntl(fd, fcntl.F_SETLKW, whole) == 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        if taken: return 'locked'
        if ctypes.get_errno() != errno.EINTR: return errno.errorcode[ctypes.get_errno()]
        seconds *= 2
for line in sys.stdin:
    print(lock() if line == 'lock\\n' else os.pread(fd, 1, int(line)).decode(), flush=True)
`;

class Process {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(file: string) {
    this.#child = spawn(python, ['-c', PROGRAM, file], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async do(line: string | number): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    return (await this.#lines.next()).value as string;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const over = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await over;
  }
}

interface Hanging {
  tree: Tree;
  /** Fills the file; its time stays what it was, or the kernel itself would drop its pages, and wait for those in use. */
  write(letter: string): void;
  /** The next read of the first page is carried out, and answered when `answer` is called. */
  hang(): { begun: Promise<void>; answer: () => void };
}

function hangingTree(): Hanging {
  const memory = memoryTree();
  memory.root.create('file', OPEN.RDWR, 0o666, 0, ROOT).file.close();
  let next: { begun: () => void; answer: Promise<void> } | undefined;
  const fault: Fault = async ({ message, perform }) => {
    const held = message.type === 'Tread' && message.offset === 0 ? next : undefined;
    const body = await perform();
    if (held === undefined) return body;
    next = undefined;
    const data = Buffer.from((body as { data: Uint8Array }).data);
    held.begun();
    await held.answer;
    return { data };
  };
  const place = new Place('held', { name: 'held', right: '', make: () => fault }, ['Tread']);
  const top = FaultyNode.top(memory.root, memory.root, place);
  return {
    tree: {
      name: 'held',
      misbehaves: true,
      attach() {
        top.retain();
        return top;
      },
      close: () => memory.close(),
    },
    write(letter) {
      const node = memory.root.walk('file', ROOT);
      const file = node.open(OPEN.WRONLY, ROOT);
      file.write(0, Buffer.alloc(SIZE, letter), new Abort());
      node.setattr({ mtime: { sec: 1, nsec: 0 } }, file, ROOT);
      file.close();
      node.release();
    },
    hang() {
      const [begun, answer] = [deferred<void>(), deferred<void>()];
      next = { begun: begun.resolve, answer: answer.promise };
      return { begun: begun.promise, answer: answer.resolve };
    },
  };
}

test.skipIf(whyNoMounts() !== undefined)('who has a lock sees nothing older, though a read of the file hangs', () =>
  withTempDir(async (dir) => {
    const { tree, write, hang } = hangingTree();
    write('a');
    const serving: Serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree });
    const live: Mounted = await mounted(dir, { address: serving.address, cache: 'auto' });
    const file = join(live.mountpoint, 'file');
    const [taker, reader] = [new Process(file), new Process(file)];
    const { begun, answer } = hang();
    try {
      // both have it open: an open may drop pages as well
      expect([await reader.do(SIZE - 1), await taker.do(FAR)]).toEqual(['a', 'a']);
      const hung = reader.do(0);
      await begun;
      write('b');
      expect(await taker.do('lock')).toBe('locked');
      expect(await taker.do(FAR)).toBe('b');
      const behind = taker.do(0);
      const reads = live.mount.stats().client.sent;
      answer();
      expect([await behind, await hung]).toEqual(['b', 'b']);
      // the one that hung was made again
      expect(live.mount.stats().client.sent).toBeGreaterThan(reads);
      await until('nothing is under way', () => live.mount.stats().fuse.inFlight === 0);
    } finally {
      answer();
      await taker.end();
      await reader.end();
      await live.end();
      await serving.close();
    }
  }),
);
