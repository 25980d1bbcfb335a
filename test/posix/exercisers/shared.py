"""The directory in which all processes of trees.py fight. A call may lose a race, but only with an errno that explains
it, and every file holds nothing but its own mark, whatever its names are and whatever process writes to it.

A process makes a file with a mark, 16 bytes that no other file has. A process that opens a file reads the mark, and
writes it again by that descriptor, anywhere. A write that hits another file shows there as a mark of a stranger."""

import errno
import os
import random

from processes import Wrong

NAMES = ['a', 'b', 'c', 'dd']
LOST_A_RACE = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP}
MARK = 16
MARKS = 64  # a file is no longer than so many
MOST = 4


def stranger(mark, content):
    """Where something stands that is neither the mark nor nothing."""
    for at in range(0, len(content), MARK):
        piece = content[at : at + MARK]
        if piece not in (mark[: len(piece)], bytes(len(piece))):
            return f'{piece!r} at {at}'
    return None


def beside(one, other):
    return os.path.dirname(one) == os.path.dirname(other)


def check(path, mark, content):
    if (found := stranger(mark, content)) is not None:
        raise Wrong(f'{path} is {mark.decode()} and holds {found}')


def read_whole(path):
    with open(path, 'rb') as file:
        return file.read()


def check_all(top):
    """Every file of the directory, when all are done. A file whose maker was killed in between is empty."""
    for at, _, files in os.walk(top):
        for path in (os.path.join(at, name) for name in files):
            if not os.path.islink(path):
                content = read_whole(path)
                check(path, content[:MARK], content)


class Shared:
    """One process in it, with random numbers of its own: the end of a race must not change what else is done."""

    def __init__(self, process, seed):
        self.process = process
        self.random = random.Random(seed)
        self.made = 0
        self.held = []

    def step(self):
        r, process = self.random, self.process

        def any_path():
            return process.shared([r.choice(NAMES) for _ in range(r.choice((1, 1, 2, 2, 3)))])

        one, other = any_path(), any_path()
        what, call = r.choice(
            (
                ('make', lambda: self.make(one)),
                ('mkdir', lambda: os.mkdir(one)),
                ('link', lambda: os.link(one, other, follow_symlinks=False)),
                ('symlink', lambda: os.symlink('x', one)),
                ('rename', lambda: process.rename(one, other)),
                ('unlink', lambda: os.unlink(one)),
                ('rmdir', lambda: os.rmdir(one)),
                ('list', lambda: os.listdir(one)),
                ('stat', lambda: os.lstat(one)),
                ('read', lambda: self.read(one)),
                ('open', lambda: self.open(one)),
                ('open', lambda: self.open(one)),
                *[('use', self.use)] * 4,
            )
        )
        process.log.append(f'{what} {one} {other}')
        if self.is_left_out(what, one, other):
            return
        allowed = LOST_A_RACE | ({errno.EPERM} if what == 'link' else set())
        if process.shares:
            allowed |= {errno.ESTALE}  # for a second a mount may know the name of what another has moved
        try:
            process.follow(call)
        except OSError as error:
            if error.errno not in allowed or (what == 'use' and not process.shares):
                raise Wrong(f'{what} in the shared directory: {error}') from error

    def is_left_out(self, what, one, other):
        without = self.process.without
        if what in ('open', 'use'):
            return 'held' in without
        return what in without or (what == 'rename' and 'across' in without and not beside(one, other))

    def make(self, path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            self.made += 1
            os.write(fd, f'{self.process.number:04}-{self.made:011}'.encode())
        finally:
            os.close(fd)

    def read(self, path):
        content = read_whole(path)
        if not self.process.late:
            check(path, content[:MARK], content)

    def open(self, path):
        if len(self.held) == MOST:
            os.close(self.held.pop(0)[0])
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        mark = os.pread(fd, MARK, 0)
        if len(mark) == MARK:
            self.held.append((fd, mark, path))
        else:
            os.close(fd)  # its maker has not come to that yet

    def use(self):
        """By a descriptor nothing can be lost."""
        if not self.held:
            return
        r = self.random
        fd, mark, path = r.choice(self.held)
        kind = r.choice(('write', 'write', 'cut', 'mode', 'sync', 'read', 'stat'))
        self.process.log.append(f'{kind} #{fd} {path}')
        if kind == 'write':
            os.pwrite(fd, mark, MARK * r.randrange(MARKS))
        elif kind == 'cut':
            os.ftruncate(fd, MARK * r.randrange(1, MARKS))
        elif kind == 'mode':
            os.fchmod(fd, r.choice((0o600, 0o644)))
        elif kind == 'sync':
            os.fsync(fd)
        elif kind == 'stat':
            os.fstat(fd)
        elif not self.process.late:
            check(f'#{fd}, opened as {path},', mark, os.pread(fd, MARK * (MARKS + 1), 0))

    def close(self):
        while self.held:
            os.close(self.held.pop()[0])
