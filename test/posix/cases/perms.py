# Who may do what: mode bits for owner, group and others, search permission, sticky directories.
# Files are prepared as root; an ordinary user acts in a child.

import errno
import os

import libc
from kit import (
    MATE,
    MEMBER,
    NOBODY,
    OTHER,
    TEAM,
    as_user,
    check,
    equal,
    executable_here,
    get,
    needs,
    open_close,
    put,
    raises,
    signal_of,
)

READ, WRITE, BOTH = os.O_RDONLY, os.O_WRONLY, os.O_RDWR


def _owned(path, uid, gid, mode):
    put(path, b'content')
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def _may(uid, path):
    """Which of r and w an open by this user is granted."""
    granted = ''
    for letter, flags in (('r', READ), ('w', WRITE)):
        try:
            as_user(uid, open_close, path, flags)
            granted += letter
        except PermissionError as error:
            equal('errno of the refusal', error.errno, errno.EACCES)
    return granted


# ---- opening


@needs('multiuser')
def of_the_owner():
    """The owner's bits decide for the owner, even when others have more."""
    _owned('f', NOBODY, NOBODY, 0o077)
    equal('granted by 0077', _may(NOBODY, 'f'), '')
    for mode, want in ((0o400, 'r'), (0o200, 'w'), (0o600, 'rw')):
        os.chmod('f', mode)
        equal(f'granted by {mode:04o}', _may(NOBODY, 'f'), want)


@needs('multiuser')
def of_the_group():
    """The group's bits decide for a member, even when others have more."""
    _owned('f', 0, TEAM, 0o707)
    equal('granted by 0707', _may(MATE, 'f'), '')
    for mode, want in ((0o040, 'r'), (0o020, 'w'), (0o060, 'rw')):
        os.chmod('f', mode)
        equal(f'granted by {mode:04o}', _may(MATE, 'f'), want)


@needs('multiuser')
def of_a_supplementary_group():
    """A group that the user is in besides its first one counts as well."""
    _owned('f', 0, TEAM, 0o060)
    equal('granted to a member', _may(MEMBER, 'f'), 'rw')
    equal('granted to one who is not', _may(NOBODY, 'f'), '')


@needs('multiuser')
def of_others():
    """The last three bits decide for everybody else."""
    _owned('f', 0, 0, 0o770)
    for mode, want in ((0o770, ''), (0o774, 'r'), (0o772, 'w'), (0o776, 'rw')):
        os.chmod('f', mode)
        equal(f'granted by {mode:04o}', _may(NOBODY, 'f'), want)


@needs('multiuser')
def of_root():
    """Root reads and writes whatever the mode says, and executes only what somebody may."""
    _owned('f', NOBODY, NOBODY, 0)
    equal('content', get('f'), b'content')
    open_close('f', BOTH)
    check(not os.access('f', os.X_OK), 'X_OK is granted although nobody may execute it')


@needs('multiuser')
def of_truncate():
    """truncate needs write permission."""
    _owned('f', 0, 0, 0o644)
    raises(errno.EACCES, as_user, NOBODY, os.truncate, 'f', 0)
    equal('content', get('f'), b'content')
    os.chmod('f', 0o666)
    as_user(NOBODY, os.truncate, 'f', 2)
    equal('content', get('f'), b'co')


@needs('multiuser')
def of_creating_over_a_file():
    """O_CREAT|O_TRUNC on an existing file that may not be written says EACCES and leaves it alone."""
    os.chmod('.', 0o777)
    _owned('f', 0, 0, 0o644)
    raises(errno.EACCES, as_user, NOBODY, os.open, 'f', WRITE | os.O_CREAT | os.O_TRUNC, 0o644)
    equal('content', get('f'), b'content')


# ---- directories


@needs('multiuser')
def of_search():
    """Without x on a directory nothing below it is reached: EACCES."""
    os.mkdir('d', 0o755)
    _owned('d/f', 0, 0, 0o644)
    os.mkdir('d/sub')
    equal('content with x', as_user(NOBODY, get, 'd/f'), b'content')
    os.chmod('d', 0o744)
    for fn, *args in ((os.stat, 'd/f'), (os.open, 'd/f', READ), (os.stat, 'd/missing'), (os.listdir, 'd/sub')):
        raises(errno.EACCES, as_user, NOBODY, fn, *args)
    equal('names by r alone', sorted(as_user(NOBODY, os.listdir, 'd')), ['f', 'sub'])


@needs('multiuser')
def of_listing():
    """Without r on a directory it cannot be listed, but a name in it can be opened."""
    os.mkdir('d')
    _owned('d/f', 0, 0, 0o644)
    os.chmod('d', 0o711)
    raises(errno.EACCES, as_user, NOBODY, os.listdir, 'd')
    equal('content', as_user(NOBODY, get, 'd/f'), b'content')


@needs('multiuser')
def of_changing_a_directory():
    """Without w on a directory no entry is made, removed or renamed: EACCES."""
    _owned('f', NOBODY, NOBODY, 0o666)
    os.mkdir('sub')
    os.chown('sub', NOBODY, NOBODY)
    for fn, *args in (
        (os.open, 'new', WRITE | os.O_CREAT, 0o644),
        (os.mkdir, 'new'),
        (os.symlink, 'x', 'new'),
        (os.link, 'f', 'new'),
        (os.mkfifo, 'new'),
        (os.unlink, 'f'),
        (os.rmdir, 'sub'),
        (os.rename, 'f', 'new'),
        (os.rename, 'f', 'sub/f'),
    ):
        raises(errno.EACCES, as_user, NOBODY, fn, *args)
    equal('names', sorted(os.listdir('.')), ['f', 'sub'])


@needs('multiuser')
def of_a_directory_without_listing():
    """With w and x but no r entries can be made and removed."""
    os.mkdir('d')
    os.chmod('d', 0o733)
    as_user(NOBODY, put, 'd/f', b'content')
    equal('content', get('d/f'), b'content')
    as_user(NOBODY, os.unlink, 'd/f')
    equal('names', os.listdir('d'), [])


@needs('multiuser')
def of_removing_what_is_not_ones_own():
    """Write permission on the directory is enough to remove a file that one may not read."""
    os.mkdir('d')
    os.chmod('d', 0o777)
    _owned('d/f', 0, 0, 0)
    as_user(NOBODY, os.unlink, 'd/f')
    equal('names', os.listdir('d'), [])


@needs('multiuser')
def of_an_x_bit_taken_back():
    """Search permission that is taken back refuses at once, even when the file was opened before."""
    os.mkdir('d', 0o755)
    _owned('d/f', 0, 0, 0o644)
    equal('content', as_user(NOBODY, get, 'd/f'), b'content')
    os.chmod('d', 0o700)
    raises(errno.EACCES, as_user, NOBODY, get, 'd/f')
    os.chmod('d', 0o755)
    equal('content', as_user(NOBODY, get, 'd/f'), b'content')


# ---- sticky directories


def _sticky():
    os.mkdir('d')
    os.chmod('d', 0o1777)
    _owned('d/f', OTHER, OTHER, 0o666)
    os.mkdir('d/sub')
    os.chown('d/sub', OTHER, OTHER)


@needs('multiuser')
def sticky_refuses_strangers():
    """In a sticky directory nobody but the owners (and root) removes or renames: EPERM."""
    _sticky()
    raises(errno.EPERM, as_user, NOBODY, os.unlink, 'd/f')
    raises(errno.EPERM, as_user, NOBODY, os.rmdir, 'd/sub')
    raises(errno.EPERM, as_user, NOBODY, os.rename, 'd/f', 'd/g')
    as_user(NOBODY, put, 'd/own')
    raises(errno.EPERM, as_user, NOBODY, os.rename, 'd/own', 'd/f')
    equal('names', sorted(os.listdir('d')), ['f', 'own', 'sub'])


@needs('multiuser')
def sticky_lets_the_owner_of_the_file():
    """The owner of an entry renames and removes it."""
    _sticky()
    as_user(OTHER, os.rename, 'd/f', 'd/g')
    as_user(OTHER, os.unlink, 'd/g')
    as_user(OTHER, os.rmdir, 'd/sub')
    equal('names', os.listdir('d'), [])


@needs('multiuser')
def sticky_lets_the_owner_of_the_directory():
    """The owner of the directory removes what others put there."""
    _sticky()
    os.chown('d', NOBODY, NOBODY)
    as_user(NOBODY, os.unlink, 'd/f')
    as_user(NOBODY, os.rmdir, 'd/sub')
    equal('names', os.listdir('d'), [])


# ---- times and execution


@needs('multiuser')
def times_by_others():
    """A writer who is not the owner may set the times to now (EACCES without w), but to nothing else: EPERM."""
    _owned('f', OTHER, OTHER, 0o666)
    os.utime('f', ns=(10**18, 10**18))
    as_user(NOBODY, libc.utimensat, 'f', libc.NOW, libc.NOW)
    check(os.stat('f').st_mtime_ns != 10**18, 'mtime is still the old one')
    raises(errno.EPERM, as_user, NOBODY, libc.utimensat, 'f', 10**18, 10**18)
    raises(errno.EPERM, as_user, NOBODY, libc.utimensat, 'f', libc.OMIT, libc.NOW)
    os.chmod('f', 0o644)
    raises(errno.EACCES, as_user, NOBODY, libc.utimensat, 'f', libc.NOW, libc.NOW)
    as_user(OTHER, libc.utimensat, 'f', 10**18, 10**18)


@needs('multiuser')
def times_by_the_owner_of_a_read_only_file():
    """The owner sets any times although the mode lets nobody write."""
    _owned('f', NOBODY, NOBODY, 0o000)
    as_user(NOBODY, libc.utimensat, 'f', 10**18, 2 * 10**18)
    equal('mtime', os.stat('f').st_mtime_ns, 2 * 10**18)


@needs('multiuser')
def of_executing():
    """execve needs the x bit of the class that the user is in: EACCES."""
    executable_here()
    put('prog', b'#!/bin/sh\nexit 0\n')
    os.chmod('prog', 0o744)
    raises(errno.EACCES, as_user, NOBODY, os.execv, 'prog', ['prog'])
    os.chmod('prog', 0o755)
    equal('signal of the program', as_user(NOBODY, signal_of, os.execv, 'prog', ['prog']), None)
