"""Random trees, made by several processes at once and checked against models: python3 trees.py DIR [DIR ...] --seed N

Each process has a directory of its own, in which every call must end exactly as its model says (result, errno, link
counts, contents, listings), and all of them fight in a shared one, where a call may lose a race but only with an errno
that losing one explains. With several DIRs, which are mounts of one server, the processes go from one to the other: with
every call in their own directories (--coherent, for mounts that cache nothing), or each by one of them.
At the end every DIR must show the same tree, and the same as --server DIR, where the server keeps it. Ends 0 or 1."""

import errno
import os
import random
import shutil
import stat
import sys
import time
from collections import deque

sys.dont_write_bytecode = True
from processes import Wrong, arguments, complaints_of, report

NAMES = ['a', 'b', 'c', 'dd', 'e e', 'f\u00fc', '.g', 'h' * 12]
DEEPEST = 5
# What may be left out, for servers that cannot do it: links, symbolic links, and renames to another directory.
KINDS = ('link', 'symlink', 'across')
LOST_A_RACE = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP}


class File:
    def __init__(self, content, mode):
        self.content, self.mode, self.nlink = content, mode, 1


class Link:
    def __init__(self, target):
        self.target, self.nlink = target, 1


class Directory:
    def __init__(self):
        self.entries = {}


def refuse(code):
    raise OSError(code, os.strerror(code))


class Model:
    """What a local file system does, for one process: a path is a tuple of names."""

    def __init__(self):
        self.root = Directory()

    def at(self, path):
        node = self.root
        for name in path:
            if not isinstance(node, Directory):
                refuse(errno.ENOTDIR)
            node = node.entries.get(name) or refuse(errno.ENOENT)
        return node

    def parent(self, path):
        node = self.at(path[:-1])
        return node if isinstance(node, Directory) else refuse(errno.ENOTDIR)

    def directories(self):
        found, todo = [], [((), self.root)]
        while todo:
            path, node = todo.pop()
            found.append(path)
            todo.extend(((*path, name), child) for name, child in node.entries.items() if isinstance(child, Directory))
        return sorted(found)

    def add(self, path, node):
        entries = self.parent(path).entries
        if path[-1] in entries:
            refuse(errno.EEXIST)
        entries[path[-1]] = node

    def link(self, old, new):
        node = self.at(old)
        parent = self.parent(new)
        if new[-1] in parent.entries:
            refuse(errno.EEXIST)
        if isinstance(node, Directory):
            refuse(errno.EPERM)
        parent.entries[new[-1]] = node
        node.nlink += 1

    def write(self, path, content, mode):
        parent = self.parent(path)
        node = parent.entries.get(path[-1])
        if node is None:
            parent.entries[path[-1]] = File(content, mode)
        elif isinstance(node, Directory):
            refuse(errno.EISDIR)
        elif isinstance(node, Link):
            refuse(errno.ELOOP)  # O_NOFOLLOW
        else:
            node.content = content

    def unlink(self, path):
        node = self.at(path)
        if isinstance(node, Directory):
            refuse(errno.EISDIR)
        del self.parent(path).entries[path[-1]]
        node.nlink -= 1

    def rmdir(self, path):
        node = self.at(path)
        if not isinstance(node, Directory):
            refuse(errno.ENOTDIR)
        if node.entries:
            refuse(errno.ENOTEMPTY)
        del self.parent(path).entries[path[-1]]

    def rename(self, old, new):
        node, parent = self.at(old), self.parent(new)
        there = parent.entries.get(new[-1])
        if old == new[: len(old)] and len(new) > len(old):
            refuse(errno.EINVAL)
        if new == old[: len(new)] and len(new) < len(old):
            refuse(errno.ENOTEMPTY)
        if there is node:
            return
        if there is not None:
            if isinstance(node, Directory) and not isinstance(there, Directory):
                refuse(errno.ENOTDIR)
            if not isinstance(node, Directory) and isinstance(there, Directory):
                refuse(errno.EISDIR)
            if isinstance(there, Directory) and there.entries:
                refuse(errno.ENOTEMPTY)
            if not isinstance(there, Directory):
                there.nlink -= 1
        del self.parent(old).entries[old[-1]]
        parent.entries[new[-1]] = node

    def chmod(self, path, mode):
        node = self.at(path)
        if not isinstance(node, File):
            refuse(errno.EXDEV)  # only files are asked for
        node.mode = mode


def put(path, content, mode):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        if os.write(fd, content) != len(content):
            raise Wrong(f'short write to {path}')
    finally:
        os.close(fd)


def get(path):
    with open(path, 'rb') as file:
        return file.read()


class Process:
    """One of those that work at the same time."""

    def __init__(self, number, args):
        self.random = random.Random(args.seed * 1000 + number)
        self.number = number
        self.places = [os.path.join(d, f'trees-{args.seed}') for d in args.directories]
        self.place = self.places[number % len(self.places)]
        self.coherent = args.coherent
        self.without = args.without
        self.model = Model()
        self.log = deque(maxlen=15)

    def own(self, path):
        return os.path.join(self.place, f'own-{self.number}', *path)

    def shared(self, path):
        return os.path.join(self.place, 'shared', *path)

    def both(self, what, on_disk, in_model):
        """The same call here and in the model: they end the same way."""
        self.log.append(what)
        try:
            in_model()
            want = None
        except OSError as error:
            want = error.errno
        try:
            self.follow(on_disk)
            got = None
        except OSError as error:
            got = error.errno
        if got != want:
            said = {None: 'success', **errno.errorcode}
            raise Wrong(f'{what}: {said.get(got, got)}, should be {said.get(want, want)}')

    def follow(self, call):
        """Linux cannot follow a directory that another mount has moved while anybody renames on this one: it only tries
        for the lock, and says ESTALE (__d_unalias in fs/dcache.c). Asked again it finds it, as on NFS."""
        for _ in range(100 if self.coherent else 0):
            try:
                return call()
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
        return call()

    def rename(self, old, new):
        """rename(2) holds that lock itself while it looks its two names up: they are looked up beforehand."""
        for path in (old, new) if self.coherent else ():
            os.path.lexists(path)
        os.rename(old, new)

    def path(self):
        directories = self.model.directories()
        base = self.random.choice(directories)
        return (*base, self.random.choice(NAMES)) if len(base) < DEEPEST else base

    def existing(self):
        """A path that may well exist."""
        directory = self.random.choice(self.model.directories())
        entries = sorted(self.model.at(directory).entries)
        return (*directory, self.random.choice(entries)) if entries else self.path()

    def file(self):
        """An existing regular file, or None."""
        path = self.existing()
        try:
            return path if path and isinstance(self.model.at(path), File) else None
        except OSError:
            return None

    def target(self, old, new):
        """Where a rename leads, in the same directory where it can lead to no other."""
        return (*old[:-1], new[-1]) if 'across' in self.without else new

    # ---- in the directory of its own

    def step(self):
        r, m = self.random, self.model
        if self.coherent:
            self.place = r.choice(self.places)
        path = self.path() or ('a',)
        kind = r.choices(
            ('put', 'mkdir', 'link', 'symlink', 'rename', 'unlink', 'rmdir', 'chmod', 'look', 'list', 'shared'),
            (16, 10, 8, 4, 14, 10, 7, 4, 14, 5, 14),
        )[0]
        if kind in self.without:
            return
        if kind == 'shared':
            self.fight()
        elif kind == 'put':
            content, mode = r.randbytes(r.choice((0, 1, 100, 5000))), r.choice((0o644, 0o600, 0o755))
            self.both(f'put {path} {len(content)}', lambda: put(self.own(path), content, mode), lambda: m.write(path, content, mode))
        elif kind == 'mkdir':
            self.both(f'mkdir {path}', lambda: os.mkdir(self.own(path)), lambda: m.add(path, Directory()))
        elif kind == 'symlink':
            target = r.choice(('nowhere', '../x', 'y' * r.randrange(1, 300)))
            self.both(f'symlink {path}', lambda: os.symlink(target, self.own(path)), lambda: m.add(path, Link(target)))
        elif kind == 'link':
            old = self.existing() or ('a',)
            self.both(
                f'link {old} {path}',
                lambda: os.link(self.own(old), self.own(path), follow_symlinks=False),
                lambda: m.link(old, path),
            )
        elif kind == 'rename':
            old = self.existing() or ('a',)
            new = self.target(old, r.choice((path, self.existing() or path)))
            self.both(f'rename {old} {new}', lambda: self.rename(self.own(old), self.own(new)), lambda: m.rename(old, new))
        elif kind == 'unlink':
            gone = self.existing() or ('a',)
            self.both(f'unlink {gone}', lambda: os.unlink(self.own(gone)), lambda: m.unlink(gone))
        elif kind == 'rmdir':
            gone = r.choice((r.choice(m.directories()), self.existing())) or ('a',)
            self.both(f'rmdir {gone}', lambda: os.rmdir(self.own(gone)), lambda: m.rmdir(gone))
        elif kind == 'chmod':
            if (one := self.file()) is not None:
                mode = r.choice((0o600, 0o640, 0o755, 0o444))
                self.both(f'chmod {one}', lambda: os.chmod(self.own(one), mode), lambda: m.chmod(one, mode))
        elif kind == 'look':
            self.look(self.existing())
        else:
            self.list(r.choice(m.directories()))

    def look(self, path):
        self.log.append(f'look at {path}')
        try:
            node = self.model.at(path)
        except OSError as error:
            try:
                self.follow(lambda: os.lstat(self.own(path)))
            except OSError as real:
                if real.errno == error.errno:
                    return
                raise Wrong(f'lstat {path}: {real}, should be {error}') from real
            raise Wrong(f'lstat {path}: found, should be {error}') from None
        self.compare(path, node)

    def compare(self, path, node):
        at = self.own(path)
        seen = self.follow(lambda: os.lstat(at))

        def same(what, got, want):
            if got != want:
                raise Wrong(f'{what} of {path}: {got!r:.80}, should be {want!r:.80}')

        if isinstance(node, Directory):
            same('type', stat.S_ISDIR(seen.st_mode), True)
            return
        same('link count', seen.st_nlink, node.nlink)
        if isinstance(node, Link):
            same('target', self.follow(lambda: os.readlink(at)), node.target)
            same('size', seen.st_size, len(node.target))
            return
        same('mode', stat.S_IMODE(seen.st_mode), node.mode)
        same('size', seen.st_size, len(node.content))
        same('content', self.follow(lambda: get(at)), node.content)

    def list(self, path):
        self.log.append(f'list {path}')
        got = sorted(self.follow(lambda: os.listdir(self.own(path))))
        want = sorted(self.model.at(path).entries)
        if got != want:
            raise Wrong(f'listing of {path}: {got}, should be {want}')

    def all(self):
        for directory in self.model.directories():
            self.list(directory)
            for name, node in self.model.at(directory).entries.items():
                self.compare((*directory, name), node)

    def leads_across(self, one, other):
        return 'across' in self.without and os.path.dirname(one) != os.path.dirname(other)

    # ---- in the directory of all

    def fight(self):
        r = self.random

        def any_path():
            return self.shared([r.choice(NAMES[:4]) for _ in range(r.choice((1, 1, 2, 2, 3)))])

        one, other = any_path(), any_path()
        what, call = r.choice(
            (
                ('put', lambda: put(one, r.randbytes(200), 0o644)),
                ('mkdir', lambda: os.mkdir(one)),
                ('link', lambda: os.link(one, other, follow_symlinks=False)),
                ('symlink', lambda: os.symlink('x', one)),
                ('rename', lambda: self.rename(one, other)),
                ('unlink', lambda: os.unlink(one)),
                ('rmdir', lambda: os.rmdir(one)),
                ('list', lambda: os.listdir(one)),
                ('stat', lambda: os.lstat(one)),
                ('read', lambda: get(one)),
            )
        )
        self.log.append(f'{what} {one} {other}')
        if what in self.without or (what == 'rename' and self.leads_across(one, other)):
            return
        allowed = LOST_A_RACE | ({errno.EPERM} if what == 'link' else set())
        if len(self.places) > 1:
            allowed |= {errno.ESTALE}  # for a second a mount may know the name of what another has moved
        try:
            self.follow(call)
        except OSError as error:
            if error.errno not in allowed:
                raise Wrong(f'{what} in the shared directory: {error}') from error

    def go(self, count):
        os.mkdir(self.own(()))
        for number in range(count):
            try:
                self.step()
            except (OSError, Wrong) as error:
                before = '\n  '.join(self.log)
                raise Wrong(f'process {self.number}, operation {number}: {error}\n  {before}') from error
        self.all()


def tree(top):
    """Everything that a tree shows, by path."""
    shown, inodes = {}, {}
    for directory, below, files in os.walk(top):
        below.sort()
        for name in sorted([*below, *files]):
            path = os.path.join(directory, name)
            seen = os.lstat(path)
            key = os.path.relpath(path, top)
            what = [seen.st_mtime_ns, stat.S_IFMT(seen.st_mode), stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid]
            if not stat.S_ISDIR(seen.st_mode):
                # hard links are told by the first path of the same file
                what += [seen.st_nlink, seen.st_size, inodes.setdefault(seen.st_ino, key)]
            if stat.S_ISLNK(seen.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(seen.st_mode):
                what.append(get(path))
            shown[key] = what
    return shown


def same_trees(one, other, slack):
    a, b = tree(one), tree(other)
    for key in sorted(a.keys() | b.keys()):
        x, y = a.get(key), b.get(key)
        if x is None or y is None or x[1:] != y[1:] or abs(x[0] - y[0]) > slack * 1e9:
            raise Wrong(f'{key}: {one} shows {x!r:.300}\n  and {other} shows {y!r:.300}')


def main():
    parser = arguments(__doc__, ops=2000, processes=4, settle=0)
    parser.add_argument('--slack', type=float, default=0, help='seconds by which times of content may differ')
    parser.add_argument('--without', action='append', default=[], choices=KINDS, help='what the server cannot do')
    args = parser.parse_args()
    name = f'trees-{args.seed}'
    os.mkdir(os.path.join(args.directories[0], name))
    os.mkdir(os.path.join(args.directories[0], name, 'shared'))
    complaints = complaints_of(args.processes, lambda number: Process(number, args).go(args.ops))
    try:
        if not complaints:
            os.sync()  # a write-back cache owes the server times
            time.sleep(args.settle)  # what other caches promise is in time
            tops = [*args.directories[1:], *([args.server] if args.server else [])]
            for top in tops:
                same_trees(os.path.join(args.directories[0], name), os.path.join(top, name), args.slack)
    except (OSError, Wrong) as error:
        complaints.append(str(error))
    if not complaints:
        shutil.rmtree(os.path.join(args.directories[0], name))
    return report(args, complaints)


if __name__ == '__main__':
    sys.exit(main())
