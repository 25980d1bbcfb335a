# A descriptor goes on meaning its file, whatever becomes of the name that it was opened by: what is done through it
# reaches that file, and never the innocent one that has the old name now.
# Every row of ACTS (fileacts.py) is tried in every situation here, and BY_NAME in some in which the file has a name.
# The innocent file differs from ours in content, size, mode, times, attributes and owner, and must look as before.

import os
from contextlib import ExitStack

from fileacts import ACTS, BY_NAME, INNOCENT, OTHER_INNOCENT, OURS
from kit import Peer, check, equal, rows
from witness import complaints, differences, look_of, make, tree_differences, tree_of

OLD = 'up/in/f'


class Scene:
    """Our file, open as an act wants it, and where it is by now."""

    def __init__(self, act):
        self._cleanup = ExitStack()
        os.makedirs('up/in')
        os.mkdir('elsewhere')
        make(OLD, OURS)
        self.path, self.nlink, self.fd = OLD, 1, None
        self.writable_only = act.flags == os.O_WRONLY
        if act.peer:  # before our own descriptor is there, which it would inherit
            self.peer = self._cleanup.enter_context(Peer())
            self.peer_fd = self.peer.do(os.open, OLD, os.O_RDWR)
        if act.flags is not None:
            self.fd = os.open(OLD, act.flags)
            self.ino = os.fstat(self.fd).st_ino
            self._cleanup.callback(self.close)

    def now_at(self, path):
        self.path = path

    def gone(self):
        self.path, self.nlink = None, 0

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def others(self):
        """Everything but our file."""
        return tree_of('.', without=(f'./{self.path}',))

    def ours(self, want):
        """How our file differs from what it should be, by descriptor and by name."""
        found = []
        if self.fd is not None:
            found += differences('our file by its descriptor', want, look_of(self.fd, not self.writable_only))
        if self.path is not None:
            found += differences(f'our file, now {self.path},', want, look_of(self.path))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._cleanup.close()


def _prove(displace, act):
    """What the act does, it does to our file and to nothing else: at once, and when the file is closed."""
    with Scene(act) as scene:
        want = {**look_of(OLD), **act.want}
        if 'content' in act.want:
            want['size'] = len(want['content'])
        act.before(scene)
        displace(scene)
        innocents = scene.others()
        equal('whether an innocent file has the old name', OLD in innocents, True)
        wrong = complaints(act.do, scene)
        # The innocent first: a look at ours may have the file system find out what it has got wrong.
        times = ('mtime',) if act.in_directories else ()
        now = tree_differences(innocents, scene.others(), ignored_of_directories=times)
        wrong += [f'innocent: {text}' for text in now]
        wrong += complaints(lambda: wrong.extend(scene.ours(want)))
        scene.close()
        # Times of directories aside: a hidden name that a file had while it was open goes now.
        late = tree_differences(innocents, scene.others(), ignored_of_directories=('mtime',))
        wrong += [f'innocent, after the close: {text}' for text in late if text not in now]
        closed = []
        closed += complaints(lambda: closed.extend(scene.ours(want)))
        wrong += [f'after the close: {text}' for text in closed if text not in wrong]
    check(not wrong, '; '.join(wrong))


# ---- situations in which the file keeps a name


@rows(ACTS | BY_NAME)
def renamed(act):
    """A file was renamed, and its old name made again."""
    _prove(_rename, act)


def _rename(scene):
    os.rename(OLD, 'up/in/g')
    scene.now_at('up/in/g')
    make(OLD, INNOCENT)


@rows(ACTS)
def renamed_twice(act):
    """A file was renamed twice, and both old names made again."""
    _prove(_rename_twice, act)


def _rename_twice(scene):
    os.rename(OLD, 'up/in/g')
    make(OLD, INNOCENT)
    os.rename('up/in/g', 'up/in/h')
    scene.now_at('up/in/h')
    make('up/in/g', OTHER_INNOCENT)


@rows(ACTS)
def swapped(act):
    """Two open files changed names by three renames."""
    _prove(_swap, act)


def _swap(scene):
    make('up/in/g', INNOCENT)
    scene.other_fd = os.open('up/in/g', os.O_RDWR)
    os.rename(OLD, 'up/in/t')
    os.rename('up/in/g', OLD)
    os.rename('up/in/t', 'up/in/g')
    scene.now_at('up/in/g')


@rows(ACTS | BY_NAME)
def moved(act):
    """A file was renamed to another directory, and its old name made again."""
    _prove(_move, act)


def _move(scene):
    os.rename(OLD, 'elsewhere/f')
    scene.now_at('elsewhere/f')
    make(OLD, INNOCENT)


@rows(ACTS | BY_NAME)
def parent_renamed(act):
    """The directory of a file was renamed, and both old names made again."""
    _prove(_rename_parent, act)


def _rename_parent(scene):
    os.rename('up/in', 'up/was')
    scene.now_at('up/was/f')
    os.mkdir('up/in')
    make(OLD, INNOCENT)


@rows(ACTS | BY_NAME)
def grandparent_renamed(act):
    """A directory two levels above a file was renamed, and all old names made again."""
    _prove(_rename_grandparent, act)


def _rename_grandparent(scene):
    os.rename('up', 'was')
    scene.now_at('was/in/f')
    os.makedirs('up/in')
    make(OLD, INNOCENT)


@rows(ACTS)
def parent_moved(act):
    """The directory of a file was renamed to another directory, and both old names made again."""
    _prove(_move_parent, act)


def _move_parent(scene):
    os.rename('up/in', 'elsewhere/in')
    scene.now_at('elsewhere/in/f')
    os.mkdir('up/in')
    make(OLD, INNOCENT)


@rows(ACTS | BY_NAME)
def one_link_unlinked(act):
    """Of two links the one that a file was opened by was unlinked, and made again."""
    _prove(_unlink_one, act)


def _unlink_one(scene):
    os.link(OLD, 'up/in/link')
    os.unlink(OLD)
    scene.now_at('up/in/link')
    make(OLD, INNOCENT)


@rows(ACTS)
def one_link_replaced(act):
    """Of two links the one that a file was opened by was replaced by another file."""
    _prove(_replace_one, act)


def _replace_one(scene):
    os.link(OLD, 'elsewhere/link')
    make('up/in/new', INNOCENT)
    os.rename('up/in/new', OLD)
    scene.now_at('elsewhere/link')


# ---- situations in which it has none any more


@rows(ACTS)
def unlinked(act):
    """A file was unlinked, and its name made again."""
    _prove(_unlink, act)


def _unlink(scene):
    os.unlink(OLD)
    scene.gone()
    make(OLD, INNOCENT)


@rows(ACTS)
def replaced(act):
    """A file was replaced by another one that was renamed over it."""
    _prove(_replace, act)


def _replace(scene):
    make('up/in/new', INNOCENT)
    os.rename('up/in/new', OLD)
    scene.gone()


@rows(ACTS)
def unlinked_with_its_directory(act):
    """A file was unlinked, its directory removed, and both names made again."""
    _prove(_unlink_all, act)


def _unlink_all(scene):
    os.unlink(OLD)
    scene.gone()
    os.rmdir('up/in')
    os.mkdir('up/in')
    make(OLD, INNOCENT)


@rows(ACTS)
def renamed_then_unlinked(act):
    """A file was renamed, then unlinked, and both names made again."""
    _prove(_rename_and_unlink, act)


def _rename_and_unlink(scene):
    os.rename(OLD, 'up/in/g')
    make(OLD, INNOCENT)
    os.unlink('up/in/g')
    scene.gone()
    make('up/in/g', OTHER_INNOCENT)
