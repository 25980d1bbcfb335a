"""Files written on one mount and read on another of the same server, checked against a model: python3 exchange.py DIR DIR --seed N

Each process has files of its own and goes from mount to mount with them, so that at every step it is known what an open must
find. What is promised, and therefore checked:

  close to open (the default): who opens a file finds what every close before that left, in whatever length, read or mapped; what
  was closed is on the server (--server DIR). Who has it open longer finds in every page something that was there since he
  opened it. Attributes and names are right after --settle seconds.
  --coherent (mounts that cache nothing): everybody finds everything at once, also by descriptors that were open before, and
  what was written by one that is still open.

Ends 0, or 1 with what was wrong and the steps before it."""

import mmap
import os
import random
import shutil
import sys
import time
from collections import deque

sys.dont_write_bytecode = True
from processes import Wrong, arguments, complaints_of, report

PAGE = 4096
FILES = ['a', 'b', 'c', 'd']
LONGEST = 5 * PAGE
MOST_HELD = 6


class File:
    """The model of one: its contents since the longest open descriptor was opened, the last of them the present one."""

    def __init__(self):
        self.versions = [b'']
        self.changed = 0.0
        # when it was last made under its name, and by which mount
        self.made = (0.0, 0)

    @property
    def content(self):
        return self.versions[-1]

    def becomes(self, content):
        self.versions.append(bytes(content))
        self.changed = time.monotonic()


class Held:
    """A descriptor that stays open while others write."""

    def __init__(self, fd, name, mount, since):
        self.fd, self.name, self.mount, self.since = fd, name, mount, since


def whole(fd, how):
    """All of a file, read at once, in odd pieces, or mapped."""
    if how == 'map':
        size = os.fstat(fd).st_size
        if size == 0:
            return b''
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
            return mapped[:]
    pieces, at, step = [], 0, LONGEST + 1 if how == 'once' else 1777
    while piece := os.pread(fd, step, at):
        pieces.append(piece)
        at += len(piece)
    return b''.join(pieces)


def difference(got, want):
    if len(got) != len(want):
        return f'{len(got)} bytes, should be {len(want)}'
    at = next(i for i in range(len(got)) if got[i] != want[i])
    return f'byte {at} of {len(got)} is {got[at]}, should be {want[at]}'


class Process:
    def __init__(self, number, args):
        self.random = random.Random(args.seed * 1000 + number)
        self.number, self.coherent, self.settle = number, args.coherent, args.settle
        name = f'exchange-{args.seed}-{number}'
        self.places = [os.path.join(d, name) for d in args.directories]
        self.server = os.path.join(args.server, name) if args.server else None
        self.files = {}
        self.held = []
        self.log = deque(maxlen=20)

    def say(self, text):
        self.log.append(f'{time.monotonic():.4f} {text}')

    def path(self, mount, name):
        return os.path.join(self.places[mount], name)

    def mount(self, name):
        """One on which the name is known by now."""
        at, by = self.files[name].made
        settled = self.coherent or time.monotonic() - at > self.settle
        return self.random.randrange(len(self.places)) if settled else by

    def go(self, count):
        os.mkdir(self.places[0])
        for name in FILES:
            self.make(name, 0)
        time.sleep(self.settle)
        for step in range(count):
            try:
                self.step()
            except (OSError, Wrong) as error:
                before = '\n  '.join(self.log)
                raise Wrong(f'process {self.number}, step {step}: {error}\n  {before}') from error
        time.sleep(self.settle)
        for name, file in self.files.items():
            for mount in range(len(self.places)):
                self.read(name, file, mount)
                self.look(name, file, mount)
        for held in self.held:
            os.close(held.fd)

    def step(self):
        r = self.random
        name = r.choice(FILES)
        file = self.files[name]
        kind = r.choices(('write', 'read', 'hold', 'held', 'look', 'replace'), (30, 40, 8, 12, 8, 2))[0]
        if kind == 'write':
            self.write(name, file, self.mount(name))
        elif kind == 'read':
            self.read(name, file, self.mount(name))
        elif kind == 'hold':
            self.hold(name, file, self.mount(name))
        elif kind == 'held':
            if self.held:
                self.check_held(r.choice(self.held))
        elif kind == 'look':
            if self.coherent or time.monotonic() - file.changed > self.settle:
                self.look(name, file, self.mount(name))
        else:
            self.make(name, r.randrange(len(self.places)))

    def make(self, name, mount):
        """A new file, in place of what has the name."""
        self.say(f'mount {mount}: replace {name}')
        for held in [held for held in self.held if held.name == name]:
            self.drop(held)
        content = self.random.randbytes(self.random.randrange(LONGEST))
        fd = os.open(self.path(mount, 'new'), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(fd, content)
        finally:
            os.close(fd)
        os.rename(self.path(mount, 'new'), self.path(mount, name))
        file = self.files[name] = File()
        file.versions = [content]
        file.made = (time.monotonic(), mount)
        file.changed = time.monotonic()
        self.at_server(name, file)

    def write(self, name, file, mount):
        r = self.random
        append = r.random() < 0.15
        flags = (os.O_APPEND | os.O_WRONLY) if append else r.choice((os.O_RDWR, os.O_WRONLY))
        if not append and r.random() < 0.1:
            flags |= os.O_TRUNC
        self.say(f'mount {mount}: write {name}, flags {flags:#x}')
        fd = os.open(self.path(mount, name), flags)
        try:
            content = bytearray(b'' if flags & os.O_TRUNC else file.content)
            file.becomes(content)
            for _ in range(r.choice((1, 1, 2, 3))):
                self.change(fd, flags, content)
                file.becomes(content)
                if self.coherent and self.held and r.random() < 0.5:
                    self.check_held(r.choice(self.held))
            if r.random() < 0.1:
                os.fsync(fd)
        finally:
            os.close(fd)
        if all(held.name != name for held in self.held):
            del file.versions[:-10]
        self.at_server(name, file)

    def change(self, fd, flags, content):
        """One write, in the file and in the model's content. Mostly in place: only the time can tell then."""
        r = self.random
        data = r.randbytes(r.choice((1, 100, PAGE, 6000)))
        kind = r.choices(('inside', 'anywhere', 'cut', 'map'), (60, 20, 10, 10))[0]
        if flags & os.O_APPEND:
            if len(content) < LONGEST:
                os.write(fd, data)
                content += data
            return
        if kind == 'cut':
            size = r.randrange(LONGEST)
            os.ftruncate(fd, size)
            content[size:] = b'\0' * max(0, size - len(content))
            return
        if kind == 'map' and content and flags & os.O_ACCMODE == os.O_RDWR and not self.coherent:
            data = data[: len(content)]
            at = r.randrange(len(content) - len(data) + 1)
            with mmap.mmap(fd, len(content)) as mapped:
                mapped[at : at + len(data)] = data
                mapped.flush()
            content[at : at + len(data)] = data
            return
        if kind == 'anywhere':
            at = r.randrange(LONGEST)
        else:
            data = data[: len(content)]
            at = r.randrange(len(content) - len(data) + 1)
        os.pwrite(fd, data, at)
        if not data:
            return
        content.extend(b'\0' * (at - len(content)))
        content[at : at + len(data)] = data

    def at_server(self, name, file):
        if self.server is None:
            return
        with open(os.path.join(self.server, name), 'rb') as there:
            got = there.read()
        if got != file.content:
            raise Wrong(f'{name} was closed, and at the server: {difference(got, file.content)}')

    def read(self, name, file, mount):
        how = self.random.choice(('once', 'pieces') if self.coherent else ('once', 'pieces', 'map'))
        self.say(f'mount {mount}: read {name}, {how}')
        fd = os.open(self.path(mount, name), os.O_RDONLY)
        try:
            self.compare(fd, name, file, mount, how)
        finally:
            os.close(fd)

    def compare(self, fd, name, file, mount, how):
        """In either order: what the kernel knows of the length by one of them, the other may use."""
        size = os.fstat(fd).st_size if self.random.random() < 0.5 else None
        got = whole(fd, how)
        if size is None:
            size = os.fstat(fd).st_size
        if got != file.content:
            old = f', it is version {file.versions.index(got)} of {len(file.versions)}' if got in file.versions else ''
            raise Wrong(f'{name} on mount {mount}, {how}: {difference(got, file.content)}{old}')
        if size != len(file.content):
            raise Wrong(f'{name} on mount {mount}: fstat says {size} bytes, should be {len(file.content)}')

    def look(self, name, file, mount):
        self.say(f'mount {mount}: stat {name}')
        size = os.stat(self.path(mount, name)).st_size
        if size != len(file.content):
            raise Wrong(f'{name} on mount {mount}: stat says {size} bytes, should be {len(file.content)}')

    def hold(self, name, file, mount):
        if len(self.held) >= MOST_HELD:
            self.drop(self.held[0])
        self.say(f'mount {mount}: hold {name}')
        fd = os.open(self.path(mount, name), os.O_RDONLY)
        held = Held(fd, name, mount, len(file.versions) - 1)
        self.held.append(held)
        self.compare(fd, name, file, mount, 'pieces')

    def drop(self, held):
        self.held.remove(held)
        os.close(held.fd)
        file = self.files[held.name]
        if all(other.name != held.name for other in self.held):
            del file.versions[:-1]

    def check_held(self, held):
        file = self.files[held.name]
        self.say(f'mount {held.mount}: look again at {held.name}')
        if self.coherent or held.since == len(file.versions) - 1:
            self.compare(held.fd, held.name, file, held.mount, 'pieces')
            return
        got = whole(held.fd, 'once')
        since = file.versions[held.since :]
        for at in range(0, len(got), PAGE):
            page = got[at : at + PAGE]
            # a page at the end may be cut where the length that is known lies, and is zero beyond what was there
            if not any((version[at : at + PAGE] + bytes(PAGE)).startswith(page) for version in since):
                raise Wrong(f'{held.name} on mount {held.mount}: what is at {at} was never there since it was opened')
        if self.random.random() < 0.5:
            self.drop(held)


def main():
    # names and attributes are right after a second
    args = arguments(__doc__, ops=5000, processes=2, settle=1.1).parse_args()
    complaints = complaints_of(args.processes, lambda number: Process(number, args).go(args.ops))
    if not complaints:
        for number in range(args.processes):
            shutil.rmtree(os.path.join(args.directories[0], f'exchange-{args.seed}-{number}'))
    return report(args, complaints)


if __name__ == '__main__':
    sys.exit(main())
