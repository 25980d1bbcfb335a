# What stat, statx and statvfs show, and when it changes.

import os
import socket
import stat

import libc
from kit import NOBODY, Peer, as_user, check, equal, get, needs, put, write_all


def kinds():
    """st_mode has the right type for every kind of file."""
    put('reg')
    os.mkdir('dir')
    os.symlink('reg', 'lnk')
    os.mkfifo('fifo')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind('sock')
    for name, test in (
        ('reg', stat.S_ISREG),
        ('dir', stat.S_ISDIR),
        ('lnk', stat.S_ISLNK),
        ('fifo', stat.S_ISFIFO),
        ('sock', stat.S_ISSOCK),
    ):
        mode = os.lstat(name).st_mode
        check(test(mode), f'{name} has the type of mode {mode:o}')


def inode_is_stable():
    """stat, fstat, the listing and a later open show one inode number, before and after a write."""
    put('a')
    first = os.stat('a').st_ino
    fd = os.open('a', os.O_RDWR)
    equal('by fstat', os.fstat(fd).st_ino, first)
    os.write(fd, b'content')
    os.close(fd)
    equal('after a write', os.stat('a').st_ino, first)
    with os.scandir('.') as listing:
        equal('in the listing', [e.inode() for e in listing], [first])
    fd = os.open('a', os.O_RDONLY)
    equal('after opening again', os.fstat(fd).st_ino, first)
    os.close(fd)
    with Peer() as other:
        equal('for another process', other.do(_ino, 'a'), first)


def _ino(path):
    return os.stat(path).st_ino


def inodes_differ():
    """Two hundred files have two hundred inode numbers on one device."""
    for i in range(200):
        put(f'f{i}')
    stats = [os.stat(f'f{i}') for i in range(200)]
    equal('different inode numbers', len({s.st_ino for s in stats}), 200)
    equal('devices', {s.st_dev for s in stats}, {os.stat('.').st_dev})


def inode_is_not_zero():
    """No file has inode number 0, which old programs take for no entry."""
    put('f')
    os.mkdir('d')
    for name in ('.', 'f', 'd'):
        check(os.stat(name).st_ino != 0, f'inode of {name} is 0')


def size_after_a_write():
    """The size is right at once, through the writing descriptor, another one, the path and another process."""
    writer = os.open('a', os.O_WRONLY | os.O_CREAT, 0o644)
    reader = os.open('a', os.O_RDONLY)
    with Peer() as other:
        total = 0
        for length in (1, 100, 4096, 70000):
            write_all(writer, b'x' * length)
            total += length
            equal('size by the writing descriptor', os.fstat(writer).st_size, total)
            equal('size by another descriptor', os.fstat(reader).st_size, total)
            equal('size by the path', os.stat('a').st_size, total)
            equal('size for another process', other.do(_size, 'a'), total)
    os.close(writer)
    os.close(reader)


def _size(path):
    return os.stat(path).st_size


def size_after_a_write_by_another_process():
    """A size that was looked at before is new after another process wrote and closed."""
    put('a', b'12345')
    equal('size', os.stat('a').st_size, 5)
    with Peer() as other:
        other.do(put, 'a', b'1234567890')
        equal('size', os.stat('a').st_size, 10)
        equal('content', get('a'), b'1234567890')
        other.do(os.truncate, 'a', 2)
        equal('size after truncate', os.stat('a').st_size, 2)


def mode_changed_by_another_process():
    """A mode and times that were looked at before are new after another process changed them."""
    put('a')
    os.stat('a')
    with Peer() as other:
        other.do(os.chmod, 'a', 0o600)
        equal('mode', stat.S_IMODE(os.stat('a').st_mode), 0o600)
        other.do(libc.utimensat, 'a', 10**18, 2 * 10**18)
        equal('mtime', os.stat('a').st_mtime_ns, 2 * 10**18)


def fstat_and_stat_agree():
    """fstat, stat, lstat and statx show the same."""
    put('a', b'content', mode=0o640)
    fd = os.open('a', os.O_RDONLY)
    fields = ('st_ino', 'st_mode', 'st_nlink', 'st_uid', 'st_gid', 'st_size', 'st_mtime_ns', 'st_ctime_ns', 'st_dev')
    by = {fn: [getattr(fn(arg), f) for f in fields] for fn, arg in ((os.stat, 'a'), (os.lstat, 'a'), (os.fstat, fd))}
    equal('lstat', by[os.lstat], by[os.stat])
    equal('fstat', by[os.fstat], by[os.stat])
    for flags in (0, libc.AT_STATX_FORCE_SYNC):
        x = libc.statx('a', flags)
        equal('statx', [x['ino'], x['mode'], x['nlink'], x['size']], [by[os.stat][0], by[os.stat][1], 1, 7])
    os.close(fd)


def statvfs():
    """The figures are plausible: blocks, free no more than all, names of up to 255 bytes."""
    v = os.statvfs('.')
    check(v.f_bsize > 0 and v.f_frsize > 0, f'block sizes {v.f_bsize} and {v.f_frsize}')
    check(v.f_blocks > 0, 'no blocks')
    check(v.f_bavail <= v.f_bfree <= v.f_blocks, f'available {v.f_bavail}, free {v.f_bfree}, all {v.f_blocks}')
    equal('longest name', v.f_namemax, 255)


def fstatvfs():
    """fstatvfs shows the same file system as statvfs."""
    put('a')
    fd = os.open('a', os.O_RDONLY)
    by_path, by_fd = os.statvfs('.'), os.fstatvfs(fd)
    for field in ('f_bsize', 'f_frsize', 'f_blocks', 'f_namemax'):
        equal(field, getattr(by_fd, field), getattr(by_path, field))
    os.close(fd)


def block_size():
    """st_blksize is usable as the size of a buffer."""
    put('a', b'x')
    size = os.stat('a').st_blksize
    check(512 <= size <= 1 << 24, f'st_blksize is {size}')


@needs('multiuser')
def owner_shown_to_others():
    """Another user sees the same owner, mode and size."""
    put('a', b'content', mode=0o600)
    os.chown('a', 12345, 54321)
    st = as_user(NOBODY, os.stat, 'a')
    equal('owner', (st.st_uid, st.st_gid), (12345, 54321))
    equal('size', st.st_size, 7)


@needs('multiuser')
def large_ids():
    """Owners above 2^16 and up to 2^32-2 are kept."""
    put('a')
    for uid, gid in ((65536, 65537), (1 << 31, (1 << 31) + 1), (0xFFFFFFFE, 0xFFFFFFFD)):
        os.chown('a', uid, gid)
        st = os.stat('a')
        equal('owner', (st.st_uid, st.st_gid), (uid, gid))


def access():
    """access(2) answers for a file that one owns and for missing names."""
    put('a', mode=0o600)
    check(os.access('a', os.F_OK), 'F_OK is refused')
    check(os.access('a', os.R_OK | os.W_OK), 'R_OK|W_OK is refused')
    check(not os.access('a', os.X_OK), 'X_OK is granted although no x bit is set')
    check(not os.access('missing', os.F_OK), 'F_OK is granted for a missing name')
    os.chmod('a', 0o700)
    check(os.access('a', os.X_OK), 'X_OK is refused although the bit is set')


@needs('multiuser')
def access_as_a_user():
    """access(2) answers by owner, group and other, for the real user."""
    put('own', mode=0o400)
    os.chown('own', NOBODY, 0)
    put('other', mode=0o605)
    put('none', mode=0o700)
    for name, modes in (('own', {'r'}), ('other', {'r', 'x'}), ('none', set())):
        for letter, bit in (('r', os.R_OK), ('w', os.W_OK), ('x', os.X_OK)):
            equal(f'{letter} of {name}', as_user(NOBODY, os.access, name, bit), letter in modes)
