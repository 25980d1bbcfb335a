"""Two mounts, of which one renames and removes what the other holds: python3 othermount.py DIR DIR --server DIR

The first mount moves files and directories about (moves.py). The second one acts meanwhile: by descriptors that it
opened before, in working directories, by names that it remembers. After every call a look at the server's own directory
(truth.py) shows what it did. A call may fail with ESTALE or ENOENT and the like, but then nothing has changed. A call
that succeeds has changed the file that the descriptor was opened on, or one that the path has meant, and nothing else;
with --coherent (mounts that remember no names) the one that the path means now.

With one plain directory for all three it checks itself. Ends 0, or 1 with the seed and the last operations."""

import errno
import os
import random
import shutil
import sys
from collections import deque

sys.dont_write_bytecode = True
from moves import NAMES, Moves
from processes import Wrong, arguments, complaints_of, report
from truth import Truth, changed_files, changed_names, read_whole

MARK = 16
MARKS = 40
MOST = 6
TO_FILES = 'write write cut cut mode times owner attribute sync read stat close'.split()
ROUND = 60  # operations on one tree, before a new one is begun
LOST = {errno.ESTALE, errno.ENOENT}
# what else a call by a path may come to, whose names mean something else by now
ELSEWHERE = LOST | {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EINVAL}


class Held:
    def __init__(self, fd, number, what, mark):
        self.fd, self.number, self.what, self.mark = fd, number, what, mark


class Round:
    """One tree, the truth about it, and what the second mount has open in it."""

    def __init__(self, number, args, r, log):
        self.random, self.log = r, log
        name = f'round-{args.seed}-{number}'
        self.mover, self.actor = (os.path.join(d, name) for d in args.directories)
        self.marks = 0
        self.serial = number
        self.plant()
        self.truth = Truth(os.path.join(args.server, name), args.coherent)
        self.moves = Moves(self.mover, self.truth, r, self.make)
        self.held = []
        self.cwd = None

    # ---- files, each of which holds its own mark many times and nothing else

    def mark(self):
        self.marks += 1
        return f'{self.serial:06}-{self.marks:09}'.encode()

    def make(self, path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.write(fd, self.mark() * 3)
        finally:
            os.close(fd)

    def plant(self):
        os.mkdir(self.mover)
        for directory in ('', 'p', 'q', 'p/r'):
            at = os.path.join(self.mover, directory)
            if directory:
                os.mkdir(at)
            for name in NAMES[:3]:
                self.make(os.path.join(at, name))

    def remember(self):
        """The second mount looks at everything, and knows all names from then on."""
        for at, directories, files in os.walk(self.actor):
            for name in (*directories, *files):
                os.stat(os.path.join(at, name))
            for name in files:
                with open(os.path.join(at, name), 'rb') as file:
                    file.read()

    # ---- what the first mount does

    def move(self):
        if (drawn := self.moves.draw()) is None:
            return
        what, step = drawn
        self.log.append(f'first mount: {what}')
        try:
            step()
        except OSError as error:
            if error.errno not in ELSEWHERE:
                raise
        before = self.truth.look()
        self.expect_unchanged(changed_files(before, self.truth.view), ())

    # ---- what the second mount does

    def act(self):
        r = self.random
        if len(self.held) < MOST and r.random() < 0.15:
            self.open()
        elif self.held and r.random() < 0.5:
            self.use(r.choice(self.held))
        elif self.cwd is not None and r.random() < 0.5:
            self.by_path((), True)
        else:
            self.by_path(self.remembered(), False)

    def remembered(self):
        """A directory by some path that it had at any time."""
        paths = [p for p, ns in self.truth.paths_ever.items() if any(self.truth.is_directory(n) for n in ns)]
        return self.random.choice(sorted(paths))

    def open(self):
        kind = self.random.choice(('file', 'file', 'file', 'directory'))
        path = self.truth.some_path(self.random.choice, kind)
        if path is None:
            return
        number = self.truth.view.paths[path]
        full = os.path.join(self.actor, *path)
        self.log.append(f'second mount: open {path}')
        try:
            if self.truth.is_directory(number):
                self.open_directory(full, path)
            else:
                self.open_file(full, path)
        except OSError as error:
            if error.errno not in ELSEWHERE:
                raise

    def number_of(self, path, fd, probe):
        """Which file was opened: the one that shows what only it has, of all that the path has meant."""
        meant = [n for n in self.truth.meant_by(path) if probe(self.truth.fds[n])]
        if len(meant) != 1:
            raise Wrong(f'{path} was opened, and is none of those files that it has meant')
        return meant[0]

    def open_file(self, full, path):
        fd = os.open(full, self.random.choice((os.O_RDWR, os.O_RDWR, os.O_RDWR | os.O_APPEND)))
        mark = os.pread(fd, MARK, 0)
        if len(mark) < MARK:  # its size is remembered from another file of the name
            os.close(fd)
            return
        number = self.number_of(path, fd, lambda real: os.pread(real, MARK, 0) == mark)
        self.held.append(Held(fd, number, f'#{fd} {path}', mark))

    def open_directory(self, full, path):
        """Which directory it is is found out by making a name in it."""
        fd = os.open(full, os.O_RDONLY | os.O_DIRECTORY)
        name = f'is-{self.mark().decode()}'
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd))
            self.truth.look()
            at = [number for number, known in self.truth.view.names if known == name]
            if len(at) != 1 or at[0] not in self.truth.meant_by(path):
                raise Wrong(f'a file made in {path} by descriptor is at {at}, where the path has never led')
        except OSError:
            os.close(fd)
            raise
        self.held.append(Held(fd, at[0], f'#{fd} {path}', None))
        if self.random.random() < 0.5:
            os.fchdir(fd)
            self.cwd = self.held[-1]

    def use(self, held):
        if held.mark is None:
            self.in_directory(held)
        else:
            self.on_file(held)

    def call(self, what, step, may_change, may_rename=frozenset(), allowed=LOST):
        """The step, and a look at the server: files that may have changed, and names that may have."""
        self.log.append(f'second mount: {what}')
        failed = None
        try:
            step()
        except OSError as error:
            if error.errno not in allowed:
                raise Wrong(f'{what}: {error}') from error
            failed = error
        before = self.truth.look()
        after = self.truth.view
        changed, renamed = changed_files(before, after), changed_names(before, after)
        said = '' if failed is None else f', which failed with {errno.errorcode[failed.errno]},'
        strangers = renamed - set(may_rename)
        if strangers:
            raise Wrong(f'{what}{said} changed the names {strangers} in place of {set(may_rename)}')
        self.expect_unchanged(changed, may_change, f'{what}{said}')
        if failed is not None and (changed or renamed):
            raise Wrong(f'{what}{said} changed {changed or renamed} all the same')
        return failed is None

    def expect_unchanged(self, changed, may_change, what='the first mount'):
        for number, fields in changed.items():
            if number not in may_change:
                paths = [path for path, known in self.truth.view.paths.items() if known == number]
                raise Wrong(f'{what} changed {", ".join(fields)} of another file: {paths or "one without a name"}')

    def on_file(self, held):
        r, fd = self.random, held.fd
        size, mode, mtime = MARK * r.randrange(1, MARKS), r.choice((0o600, 0o640, 0o644)), r.randrange(10**9) * 10**9
        value = b'%d' % r.randrange(1000)

        def write():
            os.pwrite(fd, held.mark, MARK * r.randrange(MARKS))
            os.fsync(fd)

        def read():
            content = read_whole(fd)
            if stranger := content.replace(held.mark, b'').strip(b'\0'):
                raise Wrong(f'{held.what} is {held.mark} and reads as {stranger[:40]}')

        def show():
            seen = os.fstat(fd)
            if seen.st_mode & 0o170000 != 0o100000:
                raise Wrong(f'{held.what} shows mode {seen.st_mode:o}')

        kind = r.choice(TO_FILES)
        step = {
            'write': write,
            'cut': lambda: os.ftruncate(fd, size),
            'mode': lambda: os.fchmod(fd, mode),
            'times': lambda: os.utime(fd, ns=(mtime, mtime)),
            'owner': lambda: os.fchown(fd, r.randrange(1, 9), 0),
            'attribute': lambda: os.setxattr(fd, 'user.x', value),
            'sync': lambda: os.fsync(fd),
            'read': read,
            'stat': show,
            'close': lambda: self.close(held),
        }[kind]
        if not self.call(f'{kind} {held.what}', step, {held.number}):
            return
        facts = self.truth.view.facts[held.number]
        shown = {
            'cut': (len(facts['content']), size),
            'mode': (facts['mode'], oct(0o100000 | mode)),
            'times': (facts['mtime'], mtime),
            'attribute': (facts['attributes'].get('user.x'), value),
        }
        if kind in shown and shown[kind][0] != shown[kind][1]:
            got, want = shown[kind]
            raise Wrong(f'{kind} {held.what} succeeded, and the file shows {got}, not {want}')

    def close(self, held):
        self.held.remove(held)
        if self.cwd is held:
            os.chdir('/')
            self.cwd = None
        os.close(held.fd)

    def in_directory(self, held):
        r = self.random
        kind = r.choice(('list', 'mode', 'times', 'close', 'name', 'name', 'name'))
        if kind == 'name':
            self.named(held.number, f'in {held.what}', held.fd, '')
            return
        mode, mtime = r.choice((0o700, 0o755)), r.randrange(10**9) * 10**9

        def list_names():
            strangers = {name for name in os.listdir(held.fd) if (held.number, name) not in self.truth.names_ever}
            if strangers:
                raise Wrong(f'{held.what} is listed with {strangers}, which were never there')

        step = {
            'list': list_names,
            'mode': lambda: os.chmod(held.fd, mode),
            'times': lambda: os.utime(held.fd, ns=(mtime, mtime)),
            'close': lambda: self.close(held),
        }[kind]
        self.call(f'{kind} {held.what}', step, {held.number})

    def by_path(self, directory, relative):
        """Something to a name in a directory: the working one, or one by a path that it had at some time."""
        if relative:
            self.named(self.cwd.number, f'in the working directory {self.cwd.what}', None, '')
            return
        at = {number for number in self.truth.meant_by(directory) if self.truth.is_directory(number)}
        self.named(at, f'in {directory}', None, os.path.join(self.actor, *directory))

    def named(self, directories, where, dir_fd, prefix):
        """A call with a name: by descriptor or in the working directory there is one directory that can be meant."""
        r = self.random
        at = directories if isinstance(directories, set) else {directories}
        name, other = r.choice(NAMES), r.choice(NAMES)
        meant = {number for d in at for number in self.truth.named(d, name)}
        path, new = os.path.join(prefix, name), os.path.join(prefix, other)
        mode = r.choice((0o600, 0o640))

        def make():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=dir_fd)
            try:
                os.write(fd, self.mark() * 2)
            finally:
                os.close(fd)

        def use(flags, step):
            fd = os.open(path, flags, dir_fd=dir_fd)
            try:
                step(fd)
            finally:
                os.close(fd)

        kind = r.choice(('make', 'make', 'unlink', 'rename', 'chmod', 'cut', 'read', 'stat'))
        step, changes, renames = {
            'make': (make, (), {name}),
            'unlink': (lambda: os.unlink(path, dir_fd=dir_fd), (), {name}),
            'rename': (lambda: os.rename(path, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd), (), {name, other}),
            'chmod': (lambda: os.chmod(path, mode, dir_fd=dir_fd), meant, ()),
            'cut': (lambda: use(os.O_WRONLY, lambda fd: os.ftruncate(fd, MARK)), meant, ()),
            'read': (lambda: use(os.O_RDONLY, lambda fd: os.read(fd, 1)), (), ()),
            'stat': (lambda: os.stat(path, dir_fd=dir_fd), (), ()),
        }[kind]
        what = f'{kind} {name} {other if kind == "rename" else ""} {where}'
        done = self.call(what, step, set(changes), {(d, n) for d in at for n in renames}, ELSEWHERE)
        if done and kind == 'rename':
            for directory in at:
                self.truth.renamed(directory, name, other)

    def go(self):
        self.remember()
        for _ in range(2):
            self.open()
        for _ in range(ROUND):
            if self.random.random() < 0.4:
                self.move()
            else:
                self.act()
        for held in list(self.held):
            self.call(f'close {held.what}', lambda held=held: self.close(held), {held.number})

    def end(self):
        os.chdir('/')
        for held in self.held:
            os.close(held.fd)
        self.truth.close()
        shutil.rmtree(self.mover)


def work(args):
    r, log = random.Random(args.seed), deque(maxlen=15)
    for number in range(-(-args.ops // ROUND)):
        log.append(f'round {number}')
        one = Round(number, args, r, log)
        try:
            one.go()
        except (OSError, Wrong) as error:
            before = '\n  '.join(log)
            raise Wrong(f'round {number}: {error}\n  {before}') from error
        one.end()


def main():
    args = arguments(__doc__, ops=3000, processes=1, settle=0).parse_args()
    if len(args.directories) != 2 or args.server is None:
        sys.exit('othermount.py: it takes two mounts, and --server with the directory that both show')
    return report(args, complaints_of(1, lambda _: work(args)))


if __name__ == '__main__':
    sys.exit(main())
