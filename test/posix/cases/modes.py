# What modes and owners become: umask, chmod, chown, set-uid and set-gid bits, set-gid directories.

import errno
import os
import stat

from kit import (
    MATE,
    MEMBER,
    NOBODY,
    OTHER,
    TEAM,
    as_user,
    check,
    equal,
    get,
    needs,
    open_close,
    put,
    raises,
    same_mode,
    tick,
)

READ, WRITE, BOTH = os.O_RDONLY, os.O_WRONLY, os.O_RDWR


def _owned(path, uid, gid, mode):
    put(path, b'content')
    os.chown(path, uid, gid)
    os.chmod(path, mode)


# ---- the mode asked for


def umask_applies():
    """The umask takes its bits from open, mkdir, mknod and mkfifo."""
    for mask in (0o000, 0o022, 0o077, 0o027):
        os.umask(mask)
        os.close(os.open('f', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.mkdir('d', 0o777)
        os.mknod('n', stat.S_IFREG | 0o666)
        os.mkfifo('p', 0o666)
        for name, mode in (('f', 0o666), ('d', 0o777), ('n', 0o666), ('p', 0o666)):
            got = stat.S_IMODE(os.stat(name).st_mode)
            check(got == mode & ~mask, f'{name} under umask {mask:03o}: expected {mode & ~mask:03o}, got {got:03o}')
        for name in ('f', 'n', 'p'):
            os.unlink(name)
        os.rmdir('d')


def umask_is_that_of_the_moment():
    """A process that changes its umask gets the new one at once."""
    os.umask(0)
    os.close(os.open('a', os.O_WRONLY | os.O_CREAT, 0o666))
    os.umask(0o777)
    os.close(os.open('b', os.O_WRONLY | os.O_CREAT, 0o666))
    os.umask(0o022)
    same_mode('a', 0o666)
    same_mode('b', 0)


def umask_does_not_touch_chmod():
    """chmod sets exactly what it was asked for."""
    os.umask(0o077)
    put('a')
    os.chmod('a', 0o777)
    same_mode('a', 0o777)


def all_modes_of_a_file():
    """Every permission of nine bits can be set by chmod and is shown."""
    put('a')
    for mode in range(0, 0o1000, 0o13):
        os.chmod('a', mode)
        same_mode('a', mode)


def special_bits_of_a_directory():
    """Set-uid, set-gid and sticky of a directory can be set and cleared."""
    os.mkdir('d')
    for mode in (0o1777, 0o2755, 0o3775, 0o0755):
        os.chmod('d', mode)
        same_mode('d', mode)


@needs('root')
def special_bits_of_a_file():
    """Set-uid, set-gid and sticky of a file can be set and cleared by root."""
    put('f')
    for mode in (0o4755, 0o2755, 0o6755, 0o1644, 0o7777, 0o0644):
        os.chmod('f', mode)
        same_mode('f', mode)


def mkdir_with_the_sticky_bit():
    """mkdir with mode 1777 sets the sticky bit."""
    os.umask(0)
    os.mkdir('d', 0o1777)
    same_mode('d', 0o1777)


# ---- chmod


@needs('multiuser')
def chmod_by_the_owner_only():
    """chmod by anybody else says EPERM, whatever the mode grants."""
    _owned('f', OTHER, OTHER, 0o666)
    raises(errno.EPERM, as_user, NOBODY, os.chmod, 'f', 0o777)
    same_mode('f', 0o666)
    as_user(OTHER, os.chmod, 'f', 0o600)
    same_mode('f', 0o600)


@needs('multiuser')
def chmod_by_descriptor():
    """fchmod by the owner works through a read-only descriptor, and EPERM for others."""
    _owned('f', NOBODY, NOBODY, 0o444)
    as_user(NOBODY, _fchmod, 0o640)
    same_mode('f', 0o640)
    os.chmod('f', 0o644)
    raises(errno.EPERM, as_user, OTHER, _fchmod, 0o777)


def _fchmod(mode):
    fd = os.open('f', READ)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


@needs('multiuser')
def chmod_drops_setgid_of_a_foreign_group():
    """Set-gid asked for by an owner who is not in the file's group is left out silently."""
    _owned('f', NOBODY, TEAM, 0o644)
    as_user(NOBODY, os.chmod, 'f', 0o2755)
    same_mode('f', 0o755)
    for member in (MEMBER, MATE):
        _owned('f', member, TEAM, 0o644)
        as_user(member, os.chmod, 'f', 0o2755)
        same_mode('f', 0o2755)


def chmod_moves_ctime():
    """chmod gives a new ctime and leaves mtime and content alone."""
    put('a', b'content')
    old = os.stat('a')
    tick()
    os.chmod('a', 0o600)
    new = os.stat('a')
    check(new.st_ctime_ns > old.st_ctime_ns, f'ctime did not advance from {old.st_ctime_ns}')
    equal('mtime', new.st_mtime_ns, old.st_mtime_ns)
    equal('content', get('a'), b'content')


# ---- chown


@needs('root')
def chown_by_root():
    """Root sets owner and group, either alone with -1 for the other."""
    put('f')
    os.chown('f', 1001, 1002)
    equal('owner', (os.stat('f').st_uid, os.stat('f').st_gid), (1001, 1002))
    os.chown('f', 1003, -1)
    equal('owner', (os.stat('f').st_uid, os.stat('f').st_gid), (1003, 1002))
    os.chown('f', -1, 1004)
    equal('owner', (os.stat('f').st_uid, os.stat('f').st_gid), (1003, 1004))


@needs('root')
def chown_of_a_symlink():
    """lchown changes the link, chown the target."""
    put('f')
    os.symlink('f', 's')
    os.lchown('s', 1001, 1001)
    equal('owner of the target', os.stat('f').st_uid, os.geteuid())
    equal('owner of the link', os.lstat('s').st_uid, 1001)
    os.chown('s', 1002, 1002)
    equal('owner of the target', os.stat('f').st_uid, 1002)
    equal('owner of the link', os.lstat('s').st_uid, 1001)


@needs('root')
def chown_by_descriptor():
    """fchown works through an open descriptor, of a directory too."""
    os.mkdir('d')
    put('f')
    for name in ('d', 'f'):
        fd = os.open(name, READ)
        os.fchown(fd, 1001, 1002)
        equal(f'owner of {name}', (os.fstat(fd).st_uid, os.stat(name).st_gid), (1001, 1002))
        os.close(fd)


@needs('multiuser')
def chown_by_others():
    """Giving a file away says EPERM for its owner and for strangers."""
    _owned('f', NOBODY, NOBODY, 0o666)
    raises(errno.EPERM, as_user, NOBODY, os.chown, 'f', OTHER, -1)
    raises(errno.EPERM, as_user, OTHER, os.chown, 'f', OTHER, -1)
    equal('owner', os.stat('f').st_uid, NOBODY)


@needs('multiuser')
def chown_to_a_group_of_ones_own():
    """The owner gives a file to a group it is in, and EPERM for another."""
    _owned('f', NOBODY, NOBODY, 0o644)
    raises(errno.EPERM, as_user, NOBODY, os.chown, 'f', -1, TEAM)
    for member in (MEMBER, MATE):
        os.chown('f', member, NOBODY)
        as_user(member, os.chown, 'f', -1, TEAM)
        equal('group', os.stat('f').st_gid, TEAM)


def chown_to_nobody_in_particular():
    """chown(-1, -1) by the owner is allowed and changes nothing."""
    put('f')
    before = os.stat('f')
    os.chown('f', -1, -1)
    after = os.stat('f')
    equal('owner', (after.st_uid, after.st_gid), (before.st_uid, before.st_gid))


@needs('root')
def chown_moves_ctime():
    """chown gives a new ctime."""
    put('f')
    before = os.stat('f').st_ctime_ns
    tick()
    os.chown('f', 1001, 1001)
    check(os.stat('f').st_ctime_ns > before, f'ctime did not advance from {before}')


# ---- set-uid and set-gid go away


@needs('root')
def chown_clears_setuid():
    """chown takes set-uid and set-gid from an executable file, even by root."""
    _owned('f', 0, 0, 0o6755)
    os.chown('f', 1001, 1001)
    same_mode('f', 0o755)


@needs('multiuser')
def write_by_a_user_clears_setuid():
    """A write by an ordinary user takes set-uid and set-gid away."""
    _owned('f', NOBODY, NOBODY, 0o6777)
    as_user(OTHER, _write_one_byte)
    same_mode('f', 0o777)


def _write_one_byte():
    fd = os.open('f', WRITE)
    os.write(fd, b'x')
    os.close(fd)


@needs('multiuser')
def truncate_by_a_user_clears_setuid():
    """truncate, ftruncate and O_TRUNC by an ordinary user take set-uid and set-gid away."""
    for cut in (_truncate, _ftruncate, _open_trunc):
        _owned('f', NOBODY, NOBODY, 0o6777)
        as_user(OTHER, cut)
        same_mode('f', 0o777)


def _truncate():
    os.truncate('f', 1)


def _ftruncate():
    fd = os.open('f', BOTH)
    os.ftruncate(fd, 1)
    os.close(fd)


def _open_trunc():
    open_close('f', WRITE | os.O_TRUNC)


@needs('multiuser')
def setgid_without_x_stays():
    """Set-gid without the group's x bit is no privilege and survives a write by a member of the group."""
    _owned('f', MEMBER, TEAM, 0o2666)
    as_user(MEMBER, _write_one_byte)
    same_mode('f', 0o2666)


# ---- set-gid directories


@needs('root')
def setgid_directory_gives_its_group():
    """What is made in a set-gid directory gets the group of the directory."""
    os.mkdir('d')
    os.chown('d', 0, TEAM)
    os.chmod('d', 0o2755)
    put('d/f')
    os.mkdir('d/sub')
    os.symlink('x', 'd/s')
    os.mkfifo('d/p')
    for name in ('f', 'sub', 's', 'p'):
        equal(f'group of {name}', os.lstat(f'd/{name}').st_gid, TEAM)


@needs('root')
def setgid_directory_is_inherited():
    """A directory made in a set-gid directory is set-gid too; a file is not."""
    os.mkdir('d')
    os.chown('d', 0, TEAM)
    os.chmod('d', 0o2755)
    os.makedirs('d/sub/deeper')
    put('d/sub/deeper/f')
    same_mode('d/sub', 0o2755)
    same_mode('d/sub/deeper', 0o2755)
    same_mode('d/sub/deeper/f', 0o644)
    equal('group of the deepest', os.stat('d/sub/deeper/f').st_gid, TEAM)


@needs('multiuser')
def setgid_directory_for_a_user():
    """The same for an ordinary user who is not in that group."""
    os.mkdir('d')
    os.chown('d', 0, TEAM)
    os.chmod('d', 0o2777)
    as_user(NOBODY, put, 'd/f')
    as_user(NOBODY, os.mkdir, 'd/sub')
    equal('owner and group of the file', (os.stat('d/f').st_uid, os.stat('d/f').st_gid), (NOBODY, TEAM))
    equal('group of the directory', os.stat('d/sub').st_gid, TEAM)
    same_mode('d/sub', 0o2755)
