# A descriptor of a directory, and the working directory, go on meaning that directory, whatever becomes of its name:
# what is made, removed, changed or listed relative to them is there, and never in the innocent one of the old name.
# Every row of ACTS (diracts.py) is tried in every situation in which the directory has a name (in some of them also as
# the working directory), and every row of GONE where it has none.

import os
import stat

from diracts import ACTS, ACTS_IN_CWD, GONE, GONE_IN_CWD
from kit import check, put, rows
from witness import SECOND, Marks, complaints, look_of, make, mark, tree_differences, tree_of

OLD = 'up/in/d'
OURS = Marks(b'our content', 0o640, 10**9 * SECOND, b'ours')
THEIRS = Marks(b'innocent', 0o604, 11 * 10**8 * SECOND, b'innocent')


def _fill(path, marks, own):
    """Ours and theirs have the same names in them but for one, which is their own."""
    os.makedirs(f'{path}/sub')
    os.mkdir(f'{path}/empty')
    make(f'{path}/f', marks)
    put(f'{path}/{own}')
    put(f'{path}/sub/deep', b'deep')
    mark(path, Marks(b'', marks.mode | 0o111, marks.mtime, marks.attribute))


class Scene:
    """Our directory, held by a descriptor or as the working directory, and where it is by now."""

    def __init__(self, hold, empty=False):
        self.start = os.getcwd()
        self.top = self.start if hold == 'cwd' else '.'
        os.mkdir('elsewhere')
        if empty:
            os.makedirs(OLD)
        else:
            _fill(OLD, OURS, 'ours')
        self.path = self.full(OLD)
        self.content, self.names = OURS.content, ['empty', 'f', 'ours', 'sub']
        self.at = None
        if hold == 'cwd':
            os.chdir(self.path)
            self.itself, self.proc = '.', 'cwd'
        else:
            self.at = self.itself = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            self.proc = f'fd/{self.at}'
        self.ino = os.stat(self.itself).st_ino

    def full(self, path):
        return os.path.join(self.top, path)

    def rename(self, old, new):
        os.rename(self.full(old), self.full(new))

    def now_at(self, path):
        self.path = self.full(path)

    def make_again(self):
        _fill(self.full(OLD), THEIRS, 'theirs')

    def ours(self):
        return {'': look_of(self.path), **tree_of(self.path)}

    def others(self):
        looks = tree_of(self.top, without=(self.path,))
        check(f'{OLD}/theirs' in looks, 'there is no innocent directory of the old name')
        return looks


def _prove(displace, act, empty=False):
    """What the act does, it does in our directory, where there still is one, and nowhere else."""
    scene = Scene(act.hold, empty)
    want = scene.ours()
    for look in want.values():
        if stat.S_ISDIR(look['kind']):
            del look['mtime']  # it moves with what is made there
    act.want(want)
    act.before(scene)
    displace(scene)
    innocents = scene.others()
    wrong = complaints(act.do, scene)
    # The innocent first: a look at ours may have the file system find out what it has got wrong.
    wrong += [f'innocent: {text}' for text in tree_differences(innocents, scene.others())]
    if scene.path is not None:
        wrong += complaints(lambda: wrong.extend(f'ours: {text}' for text in tree_differences(want, scene.ours())))
    check(not wrong, '; '.join(wrong))


@rows(ACTS | ACTS_IN_CWD)
def renamed(act):
    """A directory was renamed, and its old name made again."""
    _prove(_rename, act)


def _rename(scene):
    scene.rename(OLD, 'up/in/e')
    scene.now_at('up/in/e')
    scene.make_again()


@rows(ACTS)
def swapped(act):
    """Two directories changed names by three renames."""
    _prove(_swap, act)


def _swap(scene):
    scene.rename(OLD, 'up/in/t')
    scene.make_again()
    scene.rename(OLD, 'up/in/e')
    scene.rename('up/in/t', OLD)
    # The names are back to what they were, with both looked at; now once more.
    os.stat(scene.full(f'{OLD}/ours'))
    os.stat(scene.full('up/in/e/theirs'))
    scene.rename(OLD, 'up/in/t')
    scene.rename('up/in/e', OLD)
    scene.rename('up/in/t', 'up/in/e')
    scene.now_at('up/in/e')


@rows(ACTS)
def moved(act):
    """A directory was renamed to another directory, and its old name made again."""
    _prove(_move, act)


def _move(scene):
    scene.rename(OLD, 'elsewhere/d')
    scene.now_at('elsewhere/d')
    scene.make_again()


@rows(ACTS | ACTS_IN_CWD)
def parent_renamed(act):
    """The parent of a directory was renamed, and both old names made again."""
    _prove(_rename_parent, act)


def _rename_parent(scene):
    scene.rename('up/in', 'up/was')
    scene.now_at('up/was/d')
    scene.make_again()


@rows(ACTS | ACTS_IN_CWD)
def grandparent_renamed(act):
    """A directory two levels above a directory was renamed, and all old names made again."""
    _prove(_rename_grandparent, act)


def _rename_grandparent(scene):
    scene.rename('up', 'was')
    scene.now_at('was/in/d')
    scene.make_again()


@rows(ACTS)
def parent_moved(act):
    """The parent of a directory was renamed to another directory, and both old names made again."""
    _prove(_move_parent, act)


def _move_parent(scene):
    scene.rename('up/in', 'elsewhere/in')
    scene.now_at('elsewhere/in/d')
    scene.make_again()


# ---- situations in which it has no name any more


@rows(GONE | GONE_IN_CWD)
def removed(act):
    """A directory was removed, and its name made again."""
    _prove(_remove, act, empty=True)


def _remove(scene):
    os.rmdir(scene.full(OLD))
    scene.path = None
    scene.make_again()


@rows(GONE | GONE_IN_CWD)
def replaced(act):
    """A directory was replaced by another one that was renamed over it."""
    _prove(_replace, act, empty=True)


def _replace(scene):
    _fill(scene.full('up/in/new'), THEIRS, 'theirs')
    scene.rename('up/in/new', OLD)
    scene.path = None
