"""The first mount of othermount.py: it moves files and directories about, removes them, and makes their names again.

It names what is really there, but may remember what the second mount has changed since, and fail."""

import os
import shutil

NAMES = ['a', 'b', 'c', 'd']
DIRECTORIES = ['p', 'q', 'r', 's', 't']
KINDS = {
    'rename': 4,
    'swap': 2,
    'unlink': 2,
    'again': 4,
    'replace': 2,
    'move_directory': 4,
    'remove_directory': 2,
}


class Moves:
    def __init__(self, top, truth, random, make):
        self.top, self.truth, self.random, self.make = top, truth, random, make

    def some_path(self, kind):
        return self.truth.some_path(self.random.choice, kind)

    def new_path(self):
        at = self.some_path('directory') if self.random.random() < 0.7 else ()
        return (*(at or ()), self.random.choice(NAMES))

    def draw(self):
        """What to do next, in words and as a call; None where there is nothing that it could be done to."""
        (kind,) = self.random.choices(list(KINDS), KINDS.values())
        old = self.some_path('directory' if kind.endswith('directory') else 'file')
        new = self.new_path()
        if old is None:
            return None
        paths = [os.path.join(self.top, *path) for path in (old, new)]
        return f'{kind} {old} {new}', lambda: getattr(self, kind)(*paths)

    def rename(self, old, new):
        os.rename(old, new)

    def unlink(self, old, _):
        os.unlink(old)

    def swap(self, old, new):
        os.rename(old, f'{old}.t')
        os.rename(new, old)
        os.rename(f'{old}.t', new)

    def again(self, old, new):
        os.rename(old, new) if self.random.random() < 0.6 else os.unlink(old)
        self.make(old)

    def replace(self, old, _):
        self.make(f'{old}.new')
        os.rename(f'{old}.new', old)

    def move_directory(self, old, _):
        """A directory gets another name, and its old one is made again with the same names in it."""
        below = sorted(os.listdir(old))
        new = os.path.join(os.path.dirname(old), self.random.choice(DIRECTORIES))
        os.rename(old, new)
        if self.random.random() < 0.8:
            os.mkdir(old)
            for name in below[:4]:
                self.make(os.path.join(old, name))

    def remove_directory(self, old, _):
        shutil.rmtree(old)
        os.mkdir(old)
        for name in NAMES[:2]:
            self.make(os.path.join(old, name))
