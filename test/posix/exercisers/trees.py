"""Random trees, made by several processes at once and checked against models: python3 trees.py DIR [DIR ...] --seed N

Each process has a directory of its own, in which every call must end exactly as its model says (result, errno, link
counts, contents, listings), by name (here) and by descriptors that stay open (descriptors.py). All of them fight in a
shared one (shared.py), where a call may lose a race.
With several DIRs, which are mounts of one server, a process goes from one to the other with every call in its own
directory (--coherent, for mounts that cache nothing), or keeps to one of them.
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
from descriptors import Descriptors, errno_of, named, same
from processes import Wrong, arguments, complaints_of, report
from shared import Shared, check_all
from treemodel import Directory, File, Link, Model

NAMES = ['a', 'b', 'c', 'dd', 'e e', 'f\u00fc', '.g', 'h' * 12]
DEEPEST = 5
# what a process does, and how often
STEPS = {
    'held': 40,
    'put': 16,
    'mkdir': 10,
    'link': 8,
    'symlink': 4,
    'rename': 14,
    'unlink': 10,
    'rmdir': 7,
    'chmod': 4,
    'look': 14,
    'list': 5,
    'shared': 20,
}
# What there are servers that cannot do: links, symbolic links, renames to another directory, and keeping what is open
# when its name and its directory are gone.
CANNOT = ('link', 'symlink', 'across', 'held')


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
        self.without = set(args.without)
        self.steps = {kind: weight for kind, weight in STEPS.items() if kind not in self.without}
        self.shares = len(self.places) > 1  # other mounts rename and remove what this one knows
        self.late = self.shares and not self.coherent  # and it finds out a while later
        self.model = Model()
        self.log = deque(maxlen=15)
        self.descriptors = Descriptors(self)
        self.fights = Shared(self, args.seed * 1000 + 500 + number)

    def own(self, path):
        return os.path.join(self.place, f'own-{self.number}', *path)

    def shared(self, path):
        return os.path.join(self.place, 'shared', *path)

    def both(self, what, on_disk, in_model):
        """The same call here and in the model: they end the same way."""
        self.log.append(what)
        want = errno_of(in_model)
        got = errno_of(lambda: self.follow(on_disk))
        if got != want:
            raise Wrong(f'{what}: {named(got)}, should be {named(want)}')

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
        """rename(2) holds that lock itself while it looks its two names up: look them up beforehand."""
        for path in (old, new) if self.coherent else ():
            os.path.lexists(path)
        os.rename(old, new)

    def name(self):
        return self.random.choice(NAMES)

    def path(self):
        if self.random.random() < 0.15 and (opened := self.descriptors.opened_by()):
            return opened  # what was open by this name is another file then
        directories = self.model.directories()
        base = self.random.choice(directories)
        return (*base, self.name()) if len(base) < DEEPEST else base

    def existing(self):
        """A path that may well exist."""
        if self.random.random() < 0.3 and (opened := self.descriptors.opened_by()):
            return opened
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

    # ---- in the directory of its own

    def step(self):
        if self.coherent:
            self.place = self.random.choice(self.places)
        (kind,) = self.random.choices(list(self.steps), self.steps.values())
        getattr(self, f'do_{kind}')()

    def do_held(self):
        self.descriptors.step()

    def do_shared(self):
        self.fights.step()

    def do_put(self):
        r, path = self.random, self.path() or ('a',)
        content, mode = r.randbytes(r.choice((0, 1, 100, 5000))), r.choice((0o644, 0o600, 0o755))
        self.both(
            f'put {path} {len(content)}',
            lambda: put(self.own(path), content, mode),
            lambda: self.model.write(path, content, mode),
        )

    def do_mkdir(self):
        path = self.path() or ('a',)
        self.both(f'mkdir {path}', lambda: os.mkdir(self.own(path)), lambda: self.model.add(path, Directory()))

    def do_symlink(self):
        path = self.path() or ('a',)
        target = self.random.choice(('nowhere', '../x', 'y' * self.random.randrange(1, 300)))
        self.both(
            f'symlink {path}',
            lambda: os.symlink(target, self.own(path)),
            lambda: self.model.add(path, Link(target)),
        )

    def do_link(self):
        path, old = self.path() or ('a',), self.existing() or ('a',)
        self.both(
            f'link {old} {path}',
            lambda: os.link(self.own(old), self.own(path), follow_symlinks=False),
            lambda: self.model.link(old, path),
        )

    def do_rename(self):
        path, old = self.path() or ('a',), self.existing() or ('a',)
        new = self.random.choice((path, self.existing() or path))
        if 'across' in self.without:
            new = (*old[:-1], new[-1])
        self.both(
            f'rename {old} {new}',
            lambda: self.rename(self.own(old), self.own(new)),
            lambda: self.model.rename(old, new),
        )

    def do_unlink(self):
        gone = self.existing() or ('a',)
        self.both(f'unlink {gone}', lambda: os.unlink(self.own(gone)), lambda: self.model.unlink(gone))

    def do_rmdir(self):
        gone = self.random.choice((self.random.choice(self.model.directories()), self.existing())) or ('a',)
        self.both(f'rmdir {gone}', lambda: os.rmdir(self.own(gone)), lambda: self.model.rmdir(gone))

    def do_chmod(self):
        if (one := self.file()) is not None:
            mode = self.random.choice((0o600, 0o640, 0o755, 0o444))
            self.both(f'chmod {one}', lambda: os.chmod(self.own(one), mode), lambda: self.model.chmod(one, mode))

    def do_look(self):
        self.look(self.existing())

    def do_list(self):
        self.list(self.random.choice(self.model.directories()))

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

        kind = {Directory: stat.S_IFDIR, Link: stat.S_IFLNK, File: stat.S_IFREG}[type(node)]
        same(f'type of {path}', oct(stat.S_IFMT(seen.st_mode)), oct(kind))
        if kind != stat.S_IFDIR:
            same(f'link count of {path}', seen.st_nlink, node.nlink)
        if kind == stat.S_IFLNK:
            same(f'target of {path}', self.follow(lambda: os.readlink(at)), node.target)
            same(f'size of {path}', seen.st_size, len(node.target))
            return
        same(f'mode of {path}', oct(stat.S_IMODE(seen.st_mode)), oct(node.mode))
        if kind == stat.S_IFREG:
            same(f'size of {path}', seen.st_size, len(node.content))
            if node.mtime is not None:
                same(f'mtime of {path}', seen.st_mtime_ns, node.mtime)
            same(f'content of {path}', self.follow(lambda: get(at)), node.content)

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

    def go(self, count):
        os.mkdir(self.own(()))
        for number in range(count):
            try:
                self.step()
            except (OSError, Wrong) as error:
                before = '\n  '.join(self.log)
                raise Wrong(f'process {self.number}, operation {number}: {error}\n  {before}') from error
        self.descriptors.all()
        self.fights.close()
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
    parser.add_argument('--without', action='append', default=[], choices=CANNOT, help='what the server cannot do')
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
            check_all(os.path.join(args.directories[0], name, 'shared'))
    except (OSError, Wrong) as error:
        complaints.append(str(error))
    if not complaints:
        shutil.rmtree(os.path.join(args.directories[0], name))
    return report(args, complaints)


if __name__ == '__main__':
    sys.exit(main())
