"""What a process of trees.py holds open while names come and go: files and directories, acted on by descriptor alone.

Every call must end as the model says, and change the file that was opened and no other: what all names show is compared
as well. Where another mount may have removed or renamed what is open here, a call may fail with an errno that says so
(the process gives the descriptor up then), but must not have changed anything."""

import errno
import os
import stat

from processes import Wrong
from treemodel import Directory, File, Model

MOST = 8
FURTHEST = 20_000
LOST = (errno.ESTALE, errno.ENOENT)
TIMES = 10**9  # seconds: a driver may keep no more than milliseconds


class Held:
    def __init__(self, fd, node, flags, path):
        self.fd, self.node, self.path = fd, node, path
        self.what = f'#{fd} {path}'
        self.reads = flags & os.O_ACCMODE != os.O_WRONLY
        self.writes = flags & os.O_ACCMODE != os.O_RDONLY
        self.appends = bool(flags & os.O_APPEND)


def same(what, got, want):
    if got != want:
        raise Wrong(f'{what}: {got!r:.80}, should be {want!r:.80}')


def errno_of(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def named(number):
    return 'success' if number is None else errno.errorcode.get(number, str(number))


def make(name, content, dir_fd):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=dir_fd)
    try:
        same(f'bytes written to {name}', os.write(fd, content), len(content))
    finally:
        os.close(fd)


def read_whole(fd):
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b''.join(parts)


class Descriptors:
    """At most MOST of them, for one process of trees.py, whose names, model and random numbers they use."""

    def __init__(self, process):
        self.process = process
        self.random = process.random
        self.held = []

    def step(self):
        if not self.held or (len(self.held) < MOST and self.random.random() < 0.2):
            self.open()
        elif self.random.random() < 0.08:
            self.close(self.random.choice(self.held))
        else:
            self.use(self.random.choice(self.held))

    def opened_by(self):
        """The path by which something was opened that is open, whatever is there now; None (or the top) for none."""
        return self.random.choice(self.held).path if self.held else None

    # ---- opening and closing

    def open(self):
        r, process = self.random, self.process
        flags = r.choice((os.O_RDWR, os.O_RDWR, os.O_RDWR | os.O_APPEND, os.O_RDONLY, os.O_WRONLY))
        kind = r.choice(('directory', 'new', 'there', 'there', 'there'))
        if kind == 'directory':
            path, flags = r.choice(process.model.directories()), os.O_RDONLY | os.O_DIRECTORY
        elif kind == 'there':
            path = process.file()
        else:
            path, flags = process.path(), flags | os.O_CREAT | os.O_EXCL
        if path is None:
            return
        opened = []
        at = process.own(path)
        process.both(
            f'open {path} {flags:o}',
            lambda: opened.append(os.open(at, flags, 0o640)),
            (lambda: process.model.add(path, File(b'', 0o640))) if kind == 'new' else (lambda: process.model.at(path)),
        )
        if opened:
            self.held.append(Held(opened[0], process.model.at(path), flags, path))

    def close(self, held):
        self.process.log.append(f'close {held.what}')
        self.held.remove(held)
        os.close(held.fd)

    def all(self):
        """A last look at everything that is open."""
        for held in list(self.held):
            self.look(held)
        for held in list(self.held):
            self.close(held)

    # ---- calls by descriptor

    def may_lose(self, held):
        """Another mount may have taken it away; or it is a directory without a name, which a server need not keep."""
        return self.process.shares or (isinstance(held.node, Directory) and held.node.removed)

    def call(self, what, held, on_disk, in_model=lambda: None):
        """The call, and then what it does in the model; None where the descriptor was given up."""
        self.process.log.append(f'{what} {held.what}')
        try:
            result = on_disk()
        except OSError as error:
            if not (self.may_lose(held) and error.errno in LOST):
                raise Wrong(f'{what} {held.what}: {error}') from error
            self.close(held)
            return None
        in_model()
        return result

    def both(self, what, held, on_disk, in_model):
        """A call that may well fail ends here as it does in the model."""
        self.process.log.append(f'{what} in {held.what}')
        got = errno_of(on_disk)
        if self.process.shares and got in LOST:
            self.close(held)
            return
        want = errno_of(in_model)
        if got != want:
            raise Wrong(f'{what} in {held.what}: {named(got)}, should be {named(want)}')

    def use(self, held):
        (self.use_directory if isinstance(held.node, Directory) else self.use_file)(held)

    def use_file(self, held):
        r, node, fd = self.random, held.node, held.fd
        kinds = ['look', 'look', 'mode', 'times', 'sync', 'reopen']
        if held.writes:
            kinds += ['write', 'write', 'write', 'cut', 'cut']
        kind = r.choice(kinds)
        if kind == 'look':
            self.look(held)
        elif kind == 'mode':
            mode = r.choice((0o600, 0o640, 0o755, 0o644))
            self.call(f'fchmod {mode:o}', held, lambda: os.fchmod(fd, mode), lambda: setattr(node, 'mode', mode))
        elif kind == 'times':
            mtime = (TIMES + r.randrange(10**6)) * 10**9
            self.call('futimens', held, lambda: os.utime(fd, ns=(mtime, mtime)), lambda: setattr(node, 'mtime', mtime))
        elif kind == 'sync':
            sync = r.choice((os.fsync, os.fdatasync))
            self.call(sync.__name__, held, lambda: sync(fd))
        elif kind == 'cut':
            size = r.choice((0, r.randrange(len(node.content) + 1), r.randrange(FURTHEST)))
            self.call(f'ftruncate {size}', held, lambda: os.ftruncate(fd, size), lambda: node.truncate(size))
        else:
            self.write(held, reopened=kind == 'reopen')

    def write(self, held, reopened):
        r, node = self.random, held.node
        data = r.randbytes(r.choice((1, 100, 5000)))
        appends = held.appends and not reopened
        at = len(node.content) if appends else r.randrange(min(len(node.content) + 3000, FURTHEST))

        def write():
            fd = os.open(f'/proc/self/fd/{held.fd}', os.O_WRONLY) if reopened else held.fd
            try:
                done = os.write(fd, data) if appends else os.pwrite(fd, data, at)
            finally:
                if reopened:
                    os.close(fd)
            same(f'bytes written to {held.what}', done, len(data))

        what = 'append' if appends else 'open again and write' if reopened else 'write'
        self.call(f'{what} {len(data)} at {at}', held, write, lambda: node.write(at, data))

    def look(self, held):
        node = held.node
        seen = self.call('fstat', held, lambda: os.fstat(held.fd))
        if seen is None:
            return
        same(f'mode of {held.what}', stat.S_IMODE(seen.st_mode), node.mode)
        if isinstance(node, Directory):
            return
        same(f'size of {held.what}', seen.st_size, len(node.content))
        same(f'link count of {held.what}', seen.st_nlink, node.nlink)
        if node.mtime is not None:
            same(f'mtime of {held.what}', seen.st_mtime_ns, node.mtime)
        if held.reads:
            content = self.call('read', held, lambda: read_whole(held.fd))
            if content is not None:
                same(f'content of {held.what}', content, node.content)

    # ---- in a directory that is open

    def use_directory(self, held):
        r, node, fd = self.random, held.node, held.fd
        name = r.choice(sorted(node.entries)) if node.entries and r.random() < 0.6 else self.process.name()
        kind = r.choice(('list', 'make', 'mkdir', 'unlink', 'rmdir', 'rename', 'stat', 'mode', 'look'))
        if kind == 'look':
            self.look(held)
        elif kind == 'list':
            self.list(held)
        elif kind == 'mode':
            mode = r.choice((0o700, 0o755, 0o711))
            self.call(f'fchmod {mode:o}', held, lambda: os.chmod(fd, mode), lambda: setattr(node, 'mode', mode))
        else:
            on_disk, in_model = self.named_call(kind, node, fd, name)
            self.both(f'{kind} {name}', held, on_disk, in_model)

    def named_call(self, kind, node, fd, name):
        """A call relative to a directory, and the same in the model."""
        r, model, other = self.random, Model(node), self.process.name()
        content = r.randbytes(r.choice((0, 300)))
        return {
            'make': (lambda: make(name, content, fd), lambda: model.add((name,), File(content, 0o600))),
            'mkdir': (lambda: os.mkdir(name, 0o755, dir_fd=fd), lambda: model.add((name,), Directory())),
            'unlink': (lambda: os.unlink(name, dir_fd=fd), lambda: model.unlink((name,))),
            'rmdir': (lambda: os.rmdir(name, dir_fd=fd), lambda: model.rmdir((name,))),
            'rename': (
                lambda: os.rename(name, other, src_dir_fd=fd, dst_dir_fd=fd),
                lambda: model.rename((name,), (other,)),
            ),
            'stat': (lambda: os.stat(name, dir_fd=fd, follow_symlinks=False), lambda: model.at((name,))),
        }[kind]

    def list(self, held):
        got = self.call('list', held, lambda: os.listdir(held.fd))
        if got is not None:
            same(f'listing of {held.what}', sorted(got), sorted(held.node.entries))
