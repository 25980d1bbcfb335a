"""Random operations on one file, checked against a model in memory: python3 files.py DIR [--seed N] [--ops N]

Every byte that any way of reading shows must be the model's: read and pread through several descriptors, shared and
private mappings, another open, another name. A run is made by its seed alone, so that one that failed happens again; a
failure prints the seed, the operation and the last ones before it. Ends 0 when all agreed, 1 when not.
Must not be run on a file system whose server others write to at the same time."""

import argparse
import errno
import mmap
import os
import random
import sys
from collections import deque
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import libc

LARGEST = 600_000  # several pages, several messages at small sizes, and quick to compare
DESCRIPTORS = 4
PAGE = mmap.PAGESIZE


class Wrong(Exception):
    """The file system and the model differ."""


class Run:
    """One file, its model and the descriptors that are open on it."""

    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.names = [os.path.join(directory, f'random-{seed}{end}') for end in ('', '.moved')]
        self.path = self.names[0]
        for name in self.names:
            Path(name).unlink(missing_ok=True)
        self.model = bytearray()
        self.open = []  # (descriptor, whether it appends)
        self.log = deque(maxlen=25)
        self.fallocate = True

    # ---- helpers

    def say(self, text):
        self.log.append(text)

    def same(self, what, got, offset):
        want = bytes(self.model[offset : offset + len(got)])
        if got != want:
            at = next(i for i, (g, w) in enumerate(zip(got, want + b'\0' * len(got), strict=False)) if g != w or i >= len(want))
            raise Wrong(f'{what}: byte {offset + at} is {got[at : at + 8].hex()}, should be {want[at : at + 8].hex()}')

    def range(self, most=80_000):
        """An offset in or a little behind the file, a length: often small, often around a page's edge."""
        r = self.random
        offset = r.randrange(0, len(self.model) + 5000) if r.random() < 0.9 else r.randrange(LARGEST)
        if r.random() < 0.3:
            offset = max(0, offset // PAGE * PAGE + r.choice((-1, 0, 1)))
        length = r.choice((1, 7, 100, PAGE, r.randrange(1, 10_000), r.randrange(1, most)))
        return min(offset, LARGEST - 1), min(length, LARGEST - min(offset, LARGEST - 1))

    def bytes(self, length):
        return self.random.randbytes(length)

    def put(self, offset, data):
        if offset > len(self.model):
            self.model.extend(bytes(offset - len(self.model)))
        self.model[offset : offset + len(data)] = data

    def descriptor(self, appending=None):
        fits = [one for one in self.open if appending is None or one[1] == appending]
        return self.random.choice(fits)[0] if fits else None

    # ---- operations: each does one thing to the file and the same to the model

    def reopen(self):
        if len(self.open) >= DESCRIPTORS:
            fd, _ = self.open.pop(self.random.randrange(len(self.open)))
            self.say(f'close {fd}')
            os.close(fd)
        appends = self.random.random() < 0.25
        truncates = self.random.random() < 0.03
        flags = os.O_RDWR | os.O_CREAT | (os.O_APPEND if appends else 0) | (os.O_TRUNC if truncates else 0)
        fd = os.open(self.path, flags, 0o644)
        if truncates:
            self.model.clear()
        self.say(f'open {fd}{" append" if appends else ""}{" truncate" if truncates else ""}')
        self.open.append((fd, appends))

    def pwrite(self):
        fd = self.descriptor(appending=False)
        if fd is None:
            return
        offset, length = self.range()
        data = self.bytes(length)
        self.say(f'pwrite {fd} {offset}+{length}')
        done = os.pwrite(fd, data, offset)
        if done != length:
            raise Wrong(f'pwrite of {length} bytes wrote {done}')
        self.put(offset, data)

    def append(self):
        fd = self.descriptor(appending=True)
        length = self.random.randrange(1, 5000)
        if fd is None or len(self.model) + length > LARGEST:
            return
        data = self.bytes(length)
        self.say(f'append {fd} {length} at {len(self.model)}')
        done = os.write(fd, data)
        if done != length:
            raise Wrong(f'append of {length} bytes wrote {done}')
        self.put(len(self.model), data)

    def pread(self):
        fd = self.descriptor()
        offset, length = self.range(200_000)
        self.say(f'pread {fd} {offset}+{length}')
        got = os.pread(fd, length, offset)
        want = max(0, min(length, len(self.model) - offset))
        if len(got) != want:
            raise Wrong(f'pread of {length} bytes at {offset} of {len(self.model)} gave {len(got)}')
        self.same('pread', got, offset)

    def truncate(self):
        size = self.random.choice((0, len(self.model), self.random.randrange(LARGEST), max(0, len(self.model) - 1)))
        if self.random.random() < 0.5:
            self.say(f'truncate to {size}')
            os.truncate(self.path, size)
        else:
            fd = self.descriptor()
            self.say(f'ftruncate {fd} to {size}')
            os.ftruncate(fd, size)
        if size < len(self.model):
            del self.model[size:]
        else:
            self.model.extend(bytes(size - len(self.model)))

    def map(self):
        if not self.model:
            return
        fd = self.descriptor()
        offset, length = self.range(100_000)
        offset = min(offset, len(self.model) - 1) // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        length = min(length, len(self.model) - offset)
        how = self.random.choice(('read', 'private', 'shared', 'shared+msync'))
        self.say(f'map {how} {fd} {offset}+{length}')
        kind = mmap.MAP_PRIVATE if how in ('read', 'private') else mmap.MAP_SHARED
        with mmap.mmap(fd, length, kind, offset=offset) as memory:
            self.same(f'map {how}', memory[:], offset)
            if how == 'read':
                return
            at = self.random.randrange(length)
            data = self.bytes(self.random.randrange(1, min(length - at, 9000) + 1))
            memory[at : at + len(data)] = data
            if how == 'private':
                return
            self.put(offset + at, data)
            if how == 'shared+msync':
                memory.flush()

    def allocate(self):
        if not self.fallocate:
            return
        fd = self.descriptor()
        offset, length = self.range(30_000)
        self.say(f'fallocate {fd} {offset}+{length}')
        try:
            # the bare system call: the C library's own emulation is made of writes and is no test of this
            libc.fallocate(fd, 0, offset, length)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self.fallocate = False
            self.say('fallocate is not supported here')
            return
        if offset + length > len(self.model):
            self.model.extend(bytes(offset + length - len(self.model)))

    def copy(self):
        fd = self.descriptor(appending=False)
        if fd is None or len(self.model) < 10:
            return
        length = self.random.randrange(1, min(20_000, len(self.model)))
        source = self.random.randrange(len(self.model) - length + 1)
        target = self.random.randrange(LARGEST - length)
        if abs(source - target) < length:
            return  # ranges that overlap are EINVAL
        self.say(f'copy_file_range {fd} {source}+{length} to {target}')
        data = bytes(self.model[source : source + length])
        done = 0
        while done < length:
            done += os.copy_file_range(fd, fd, length - done, source + done, target + done)
        self.put(target, data)

    def rename(self):
        target = next(name for name in self.names if name != self.path)
        self.say(f'rename to {os.path.basename(target)}')
        os.rename(self.path, target)
        self.path = target

    def sync(self):
        fd = self.descriptor()
        self.say(f'fsync {fd}')
        (os.fsync if self.random.random() < 0.5 else os.fdatasync)(fd)

    def size(self):
        by_name, by_descriptor = os.stat(self.path).st_size, os.fstat(self.descriptor()).st_size
        self.say(f'stat: {by_name}')
        if not by_name == by_descriptor == len(self.model):
            raise Wrong(f'size: stat {by_name}, fstat {by_descriptor}, should be {len(self.model)}')

    def whole(self):
        self.say('read it all by another open')
        with open(self.path, 'rb') as file:
            got = file.read()
        if len(got) != len(self.model):
            raise Wrong(f'the whole file has {len(got)} bytes, should have {len(self.model)}')
        self.same('the whole file', got, 0)

    WEIGHTS = {
        pwrite: 26,
        pread: 26,
        append: 6,
        truncate: 5,
        map: 12,
        reopen: 8,
        allocate: 2,
        copy: 3,
        rename: 2,
        sync: 2,
        size: 6,
        whole: 2,
    }

    def go(self, count):
        operations, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        for number in range(count):
            if not self.open:
                self.reopen()
            operation = self.random.choices(operations, weights)[0]
            try:
                operation(self)
            except (OSError, Wrong, ValueError) as error:
                before = '\n  '.join(self.log)
                raise Wrong(f'operation {number} ({operation.__name__}): {error}\n  {before}') from error
        self.whole()
        for fd, _ in self.open:
            os.close(fd)
        os.unlink(self.path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('directory')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument('--ops', type=int, default=20_000)
    args = parser.parse_args()
    try:
        Run(args.directory, args.seed).go(args.ops)
    except Wrong as wrong:
        print(f'seed {args.seed}: {wrong}', file=sys.stderr)
        return 1
    print(f'seed {args.seed}: {args.ops} operations, all as they should be')
    return 0


if __name__ == '__main__':
    sys.exit(main())
