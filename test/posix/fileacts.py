# What is done to a file in the cases of identity.py: by a descriptor that was opened before (ACTS), and by the name
# that the file has now (BY_NAME).
# A row says what to do, and how the file must look afterwards where that is another way than before.
# Must not: know in which situation it is used, beyond what the scene tells (fd, path, nlink, peer).

import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fcntl import F_UNLCK, F_WRLCK, LOCK_EX, LOCK_NB, LOCK_UN

import libc
from kit import NOBODY, OTHER, TEAM, check, equal, lock, lock_holder, pattern, raises, read_all, same_bytes, write_all
from witness import NOW, SECOND, Marks

OURS = Marks(pattern(5000), 0o640, 10**9 * SECOND, b'ours')
INNOCENT = Marks(b'innocent' * 100, 0o604, 11 * 10**8 * SECOND, b'innocent', NOBODY)
OTHER_INNOCENT = Marks(b'another' * 10, 0o600, 12 * 10**8 * SECOND, b'another')

BUSY = (errno.EAGAIN, errno.EACCES)
LATER = 13 * 10**8 * SECOND
DATA = OURS.content


def _nothing(_scene):
    """There is nothing to do."""


@dataclass(frozen=True)
class Act:
    about: str
    do: Callable = _nothing
    want: dict = field(default_factory=dict)
    flags: int | None = os.O_RDWR  # None: the file is not open
    before: Callable = _nothing  # with the file open, before anything is renamed
    needs: tuple = ()
    peer: bool = False  # another process has the file open as well
    in_directories: bool = False  # makes or removes names, so that times of directories move


def written(content):
    return {'content': content, 'mtime': NOW}


def _write(scene):
    write_all(scene.fd, b'WRITTEN')


def _write_and(sync):
    def do(scene):
        _write(scene)
        sync(scene.fd)

    return do


def _cut_by_proc(scene):
    os.truncate(f'/proc/self/fd/{scene.fd}', 3)


def _chmod_by_proc(scene):
    os.chmod(f'/proc/self/fd/{scene.fd}', 0o600)


def _with_reopened(flags, step):
    def do(scene):
        fd = os.open(f'/proc/self/fd/{scene.fd}', flags)
        try:
            step(fd)
        finally:
            os.close(fd)

    return do


def _link_again(scene):
    """linkat of what the descriptor means; a file without any name gets none again."""
    if scene.nlink == 0:
        raises(errno.ENOENT, libc.link_descriptor, scene.fd, 'elsewhere/again')
        return
    libc.link_descriptor(scene.fd, 'elsewhere/again')
    equal('inode of the link', os.stat('elsewhere/again').st_ino, os.fstat(scene.fd).st_ino)
    equal('link count', os.fstat(scene.fd).st_nlink, 2)
    os.unlink('elsewhere/again')


def _read_on(scene):
    same_bytes('rest of our file', read_all(scene.fd), DATA[10:])


def _positioned_read(scene):
    same_bytes('end of our file', os.pread(scene.fd, 2000, 4096), DATA[4096:])


def _seek_end(scene):
    equal('end of our file', os.lseek(scene.fd, 0, os.SEEK_END), len(DATA))


def _fstat(scene):
    seen = os.fstat(scene.fd)
    equal('inode', seen.st_ino, scene.ino)
    equal('link count', seen.st_nlink, scene.nlink)
    equal('size', seen.st_size, len(DATA))
    check(os.stat('up/in/f').st_ino != seen.st_ino, f'the innocent file has our inode number {seen.st_ino}')


def _mapped(scene, at):
    with mmap.mmap(scene.fd, len(DATA), mmap.MAP_SHARED) as mapping:
        same_bytes('our file, mapped', mapping[at:], DATA[at:])
        mapping[at : at + 3] = b'MAP'
        mapping.flush()


def _map(scene):
    scene.mapping = mmap.mmap(scene.fd, len(DATA), mmap.MAP_SHARED)
    scene.mapping[:3] = b'MAP'


def _sync_mapping(scene):
    with scene.mapping as mapping:
        mapping[4096:4099] = b'MAP'
        mapping.flush()


def _innocent_fd(scene):
    return scene.peer.do(os.open, 'up/in/f', os.O_RDWR)


def _flock(scene):
    peer, innocent = scene.peer, _innocent_fd(scene)
    fcntl.flock(scene.fd, LOCK_EX | LOCK_NB)
    raises(BUSY, peer.do, fcntl.flock, scene.peer_fd, LOCK_EX | LOCK_NB)
    peer.do(fcntl.flock, innocent, LOCK_EX | LOCK_NB)
    fcntl.flock(scene.fd, LOCK_UN)
    peer.do(fcntl.flock, scene.peer_fd, LOCK_EX | LOCK_NB)
    raises(BUSY, fcntl.flock, scene.fd, LOCK_EX | LOCK_NB)


def _range_lock(scene):
    peer, innocent = scene.peer, _innocent_fd(scene)
    lock(scene.fd, F_WRLCK)
    raises(BUSY, peer.do, lock, scene.peer_fd, F_WRLCK)
    check(peer.do(lock_holder, scene.peer_fd, F_WRLCK) is not None, 'F_GETLK: nobody holds the lock that is held')
    equal('holder of a lock on the innocent file', peer.do(lock_holder, innocent, F_WRLCK), None)
    peer.do(lock, innocent, F_WRLCK)
    lock(scene.fd, F_UNLCK)
    peer.do(lock, scene.peer_fd, F_WRLCK)
    raises(BUSY, lock, scene.fd, F_WRLCK)


def _removed_attribute(scene):
    os.removexattr(scene.fd, 'user.x')
    raises(errno.ENODATA, os.getxattr, scene.fd, 'user.x')


ACTS = {
    'shrink': Act('ftruncate cuts it', lambda s: os.ftruncate(s.fd, 3), written(DATA[:3])),
    'grow': Act('ftruncate makes it longer', lambda s: os.ftruncate(s.fd, 9000), written(DATA + bytes(4000))),
    'shrink_by_a_writer': Act(
        'ftruncate cuts it, by a descriptor that is for writing alone',
        lambda s: os.ftruncate(s.fd, 3),
        written(DATA[:3]),
        flags=os.O_WRONLY,
    ),
    'shrink_by_proc': Act('truncate of /proc/self/fd/N cuts it', _cut_by_proc, written(DATA[:3])),
    'fchmod': Act('fchmod', lambda s: os.fchmod(s.fd, 0o600), {'mode': 0o600}),
    'fchmod_by_a_reader': Act(
        'fchmod by a descriptor that is for reading alone',
        lambda s: os.fchmod(s.fd, 0o600),
        {'mode': 0o600},
        flags=os.O_RDONLY,
    ),
    'chmod_by_proc': Act('chmod of /proc/self/fd/N', _chmod_by_proc, {'mode': 0o600}),
    'fchown': Act(
        'fchown', lambda s: os.fchown(s.fd, OTHER, TEAM), {'owner': OTHER, 'group': TEAM}, needs=('root',)
    ),
    'futimens': Act('futimens of both times', lambda s: libc.futimens(s.fd, LATER, LATER), {'mtime': LATER}),
    'futimens_omit': Act(
        'futimens of the time of modification alone', lambda s: libc.futimens(s.fd, libc.OMIT, LATER), {'mtime': LATER}
    ),
    'futimens_now': Act(
        'futimens to now', lambda s: libc.futimens(s.fd, libc.NOW, libc.NOW), {'mtime': NOW}, flags=os.O_RDONLY
    ),
    'fsetxattr': Act(
        'fsetxattr',
        lambda s: os.setxattr(s.fd, 'user.x', b'other'),
        {'attributes': {'user.x': b'other'}},
        needs=('xattr',),
    ),
    'fgetxattr': Act(
        'fgetxattr',
        lambda s: equal('attribute', os.getxattr(s.fd, 'user.x'), OURS.attribute),
        flags=os.O_RDONLY,
        needs=('xattr',),
    ),
    'fremovexattr': Act('fremovexattr', _removed_attribute, {'attributes': {}}, needs=('xattr',)),
    'fsync': Act('write and fsync', _write_and(os.fsync), written(b'WRITTEN' + DATA[7:])),
    'fdatasync': Act('write and fdatasync', _write_and(os.fdatasync), written(b'WRITTEN' + DATA[7:])),
    'flock': Act('flock locks it and nothing else', _flock, peer=True),
    'range_lock': Act('fcntl locks it and nothing else', _range_lock, needs=('locks',), peer=True),
    'write': Act('write', _write, written(b'WRITTEN' + DATA[7:])),
    'pwrite': Act(
        'pwrite, by a descriptor that is for writing alone',
        lambda s: os.pwrite(s.fd, b'WRITTEN', 4000),
        written(DATA[:4000] + b'WRITTEN' + DATA[4007:]),
        flags=os.O_WRONLY,
    ),
    'append': Act('append', _write, written(DATA + b'WRITTEN'), flags=os.O_RDWR | os.O_APPEND),
    'written_before': Act(
        'what was written before arrives in it', before=_write, want=written(b'WRITTEN' + DATA[7:])
    ),
    'read': Act('reading goes on', _read_on, before=lambda s: os.read(s.fd, 10), flags=os.O_RDONLY),
    'pread': Act('pread', _positioned_read, flags=os.O_RDONLY),
    'seek_end': Act('lseek to the end', _seek_end, flags=os.O_RDONLY),
    'fstat': Act('fstat', _fstat, flags=os.O_RDONLY),
    'reopened': Act(
        'opened again by /proc/self/fd/N and written',
        _with_reopened(os.O_WRONLY, lambda fd: write_all(fd, b'WRITTEN')),
        written(b'WRITTEN' + DATA[7:]),
    ),
    'reopened_to_cut': Act(
        'opened again by /proc/self/fd/N with O_TRUNC',
        _with_reopened(os.O_WRONLY | os.O_TRUNC, lambda fd: write_all(fd, b'WRITTEN')),
        written(b'WRITTEN'),
        flags=os.O_RDONLY,
    ),
    'reopened_to_read': Act(
        'opened again by /proc/self/fd/N and read',
        _with_reopened(os.O_RDONLY, lambda fd: same_bytes('our file', read_all(fd), DATA)),
        flags=os.O_RDONLY,
    ),
    'linked': Act('linkat of /proc/self/fd/N', _link_again, in_directories=True),
    'mapped': Act('mapped, written, msync', lambda s: _mapped(s, 0), written(b'MAP' + DATA[3:])),
    'mapped_before': Act(
        'mapped and written before, written again, msync',
        _sync_mapping,
        written(b'MAP' + DATA[3:4096] + b'MAP' + DATA[4099:]),
        before=_map,
    ),
}


def _at_path(step):
    return lambda scene: step(scene.path)


def _append_by_name(path):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        write_all(fd, b'WRITTEN')
    finally:
        os.close(fd)


def _cut_by_opening(path):
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def _unlink(scene):
    os.unlink(scene.path)
    scene.gone()


def _rename(scene):
    new = f'{scene.path}-again'
    os.rename(scene.path, new)
    scene.now_at(new)


BY_NAME = {
    'then_truncate': Act(
        'truncate by its new name', _at_path(lambda p: os.truncate(p, 3)), written(DATA[:3]), flags=None
    ),
    'then_chmod': Act('chmod by its new name', _at_path(lambda p: os.chmod(p, 0o600)), {'mode': 0o600}, flags=None),
    'then_chmod_open': Act(
        'chmod by its new name while it is open', _at_path(lambda p: os.chmod(p, 0o600)), {'mode': 0o600}
    ),
    'then_chown': Act(
        'chown by its new name',
        _at_path(lambda p: os.chown(p, OTHER, TEAM)),
        {'owner': OTHER, 'group': TEAM},
        flags=None,
        needs=('root',),
    ),
    'then_utimens': Act(
        'utimensat by its new name', _at_path(lambda p: libc.utimensat(p, LATER, LATER)), {'mtime': LATER}, flags=None
    ),
    'then_setxattr': Act(
        'setxattr by its new name',
        _at_path(lambda p: os.setxattr(p, 'user.x', b'other')),
        {'attributes': {'user.x': b'other'}},
        flags=None,
        needs=('xattr',),
    ),
    'then_append': Act('append by its new name', _at_path(_append_by_name), written(DATA + b'WRITTEN'), flags=None),
    'then_cut': Act('O_TRUNC by its new name', _at_path(_cut_by_opening), written(b'')),
    'then_unlink': Act('unlink of its new name', _unlink, in_directories=True),
    'then_rename': Act('a rename of its new name', _rename, flags=None, in_directories=True),
}
