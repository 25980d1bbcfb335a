# unlink(2), rmdir(2): names go, open descriptors stay, and the errors in between.

import errno
import os
import stat

import libc
from kit import Peer, check, equal, exists, get, names, pattern, put, raises, tick


def plain():
    """The name is gone for open, stat and listing."""
    put('a')
    os.unlink('a')
    raises(errno.ENOENT, os.stat, 'a')
    raises(errno.ENOENT, os.open, 'a', os.O_RDONLY)
    equal('names', names(), [])


def of_an_open_file():
    """Reads and writes go on through the descriptor after the last name is gone."""
    put('a', b'content')
    fd = os.open('a', os.O_RDWR)
    os.unlink('a')
    check(not exists('a'), 'the name is still there')
    equal('read', os.pread(fd, 100, 0), b'content')
    os.pwrite(fd, b'more', 7)
    equal('read after write', os.pread(fd, 100, 0), b'contentmore')
    os.close(fd)


def fstat_after():
    """fstat of an unlinked file: right size, type and inode, link count 0."""
    put('a', b'content')
    fd = os.open('a', os.O_RDWR)
    ino = os.fstat(fd).st_ino
    os.unlink('a')
    os.write(fd, b'longer content')
    after = os.fstat(fd)
    equal('link count', after.st_nlink, 0)
    equal('size', after.st_size, 14)
    equal('inode', after.st_ino, ino)
    check(stat.S_ISREG(after.st_mode), f'not a regular file: mode {after.st_mode:o}')
    os.close(fd)


def ftruncate_after():
    """ftruncate of an unlinked file, down and up."""
    fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, b'content')
    os.unlink('a')
    os.ftruncate(fd, 3)
    equal('size', os.fstat(fd).st_size, 3)
    os.ftruncate(fd, 10)
    equal('content', os.pread(fd, 100, 0), b'con' + bytes(7))
    os.close(fd)


def fchmod_after():
    """fchmod and futimens of an unlinked file."""
    fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink('a')
    os.fchmod(fd, 0o640)
    equal('mode', stat.S_IMODE(os.fstat(fd).st_mode), 0o640)
    libc.futimens(fd, 10**18, 10**18 + 5)
    equal('mtime', os.fstat(fd).st_mtime_ns, 10**18 + 5)
    os.close(fd)


def of_an_open_file_then_fsync():
    """fsync of an unlinked file works and does not bring the name back."""
    fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, b'content')
    os.unlink('a')
    os.fsync(fd)
    equal('names', names(), [])
    os.close(fd)
    equal('names after close', names(), [])


def of_a_file_open_twice():
    """Two descriptors on an unlinked file see one file; closing one leaves the other."""
    put('a', b'content')
    one = os.open('a', os.O_RDWR)
    two = os.open('a', os.O_RDONLY)
    os.unlink('a')
    os.pwrite(one, b'CON', 0)
    os.close(one)
    equal('read through the other', os.pread(two, 100, 0), b'CONtent')
    os.close(two)


def while_another_process_has_it_open():
    """A process keeps the file that another one unlinked."""
    put('a', b'content')
    with Peer() as other:
        fd = other.do(os.open, 'a', os.O_RDWR)
        os.unlink('a')
        equal('read by the other', other.do(os.pread, fd, 100, 0), b'content')
        equal('written by the other', other.do(os.pwrite, fd, b'x', 0), 1)
        other.do(os.close, fd)


def then_make_the_name_again():
    """A new file under the name of an unlinked open one is another file with another inode."""
    put('a', b'old')
    fd = os.open('a', os.O_RDWR)
    os.unlink('a')
    put('a', b'new content')
    check(os.fstat(fd).st_ino != os.stat('a').st_ino, 'both have one inode number')
    equal('old file', os.pread(fd, 100, 0), b'old')
    os.pwrite(fd, b'OLD', 0)
    equal('new file', get('a'), b'new content')
    os.close(fd)
    equal('new file after closing the old', get('a'), b'new content')


def then_make_a_directory_of_the_name():
    """A directory may take the name of an unlinked open file."""
    put('a', b'old')
    fd = os.open('a', os.O_RDONLY)
    os.unlink('a')
    os.mkdir('a')
    check(stat.S_ISDIR(os.stat('a').st_mode), 'a is no directory')
    equal('old file', os.pread(fd, 100, 0), b'old')
    os.close(fd)


def many_open_files():
    """Fifty open files, all unlinked, each still with its own content."""
    fds = []
    for i in range(50):
        fd = os.open(f'f{i}', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, b'file %d' % i)
        fds.append(fd)
    for i in range(50):
        os.unlink(f'f{i}')
    equal('names', names(), [])
    for i, fd in enumerate(fds):
        equal(f'content of file {i}', os.pread(fd, 100, 0), b'file %d' % i)
        os.close(fd)


def large_open_file():
    """Two megabytes are read back whole after the unlink."""
    data = pattern(2 << 20)
    put('a', data)
    fd = os.open('a', os.O_RDONLY)
    os.unlink('a')
    got = b''.join(iter(lambda: os.read(fd, 1 << 18), b''))
    check(got == data, f'{len(got)} bytes that differ from the {len(data)} written')
    os.close(fd)


def one_of_two_links():
    """The other name stays, with a link count of 1 and a new ctime."""
    put('a', b'content')
    os.link('a', 'b')
    old = os.stat('b')
    equal('link count before', old.st_nlink, 2)
    tick()
    os.unlink('a')
    new = os.stat('b')
    equal('link count after', new.st_nlink, 1)
    equal('content', get('b'), b'content')
    check(new.st_ctime_ns > old.st_ctime_ns, f'ctime did not advance from {old.st_ctime_ns}')


def of_a_directory():
    """EISDIR."""
    os.mkdir('d')
    raises(errno.EISDIR, os.unlink, 'd')
    check(os.path.isdir('d'), 'the directory is gone')


def of_a_symlink():
    """The link goes, what it points to stays."""
    put('target', b'content')
    os.symlink('target', 'link')
    os.unlink('link')
    equal('names', names(), ['target'])


def of_a_missing_name():
    """ENOENT for unlink and rmdir, ENOTDIR below a file."""
    put('f')
    raises(errno.ENOENT, os.unlink, 'missing')
    raises(errno.ENOENT, os.rmdir, 'missing')
    raises(errno.ENOTDIR, os.unlink, 'f/below')
    raises(errno.ENOTDIR, os.rmdir, 'f/below')


def twice():
    """The second unlink of a name says ENOENT."""
    put('a')
    os.unlink('a')
    raises(errno.ENOENT, os.unlink, 'a')


def parents_mtime():
    """unlink and rmdir give the parent a new mtime."""
    os.mkdir('d')
    put('d/f')
    os.mkdir('d/sub')
    for remove, name in ((os.unlink, 'd/f'), (os.rmdir, 'd/sub')):
        before = os.stat('d').st_mtime_ns
        tick()
        remove(name)
        check(os.stat('d').st_mtime_ns > before, f'{remove.__name__} left the mtime of the parent at {before}')


def rmdir_plain():
    """An empty directory goes."""
    os.mkdir('d')
    os.rmdir('d')
    check(not exists('d'), 'the directory is still there')
    raises(errno.ENOENT, os.listdir, 'd')


def rmdir_not_empty():
    """ENOTEMPTY (or EEXIST) while anything is in it, a dot file too."""
    os.mkdir('d')
    put('d/.hidden')
    raises((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, 'd')
    os.unlink('d/.hidden')
    os.mkdir('d/sub')
    raises((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, 'd')
    os.rmdir('d/sub')
    os.rmdir('d')


def rmdir_of_a_file():
    """ENOTDIR, also for a symlink to a directory."""
    put('f')
    raises(errno.ENOTDIR, os.rmdir, 'f')
    os.mkdir('d')
    os.symlink('d', 'link')
    raises(errno.ENOTDIR, os.rmdir, 'link')
    equal('names', names(), ['d', 'f', 'link'])


def rmdir_of_dot():
    """EINVAL for a last component of ., ENOTEMPTY (or EEXIST) for one of .. ."""
    os.makedirs('d/e')
    raises(errno.EINVAL, os.rmdir, 'd/.')
    raises((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, 'd/e/..')


def rmdir_of_an_open_directory():
    """The descriptor stays usable: fstat works, the listing is empty (or ENOENT), nothing can be made in it."""
    os.mkdir('d')
    fd = os.open('d', os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir('d')
    check(stat.S_ISDIR(os.fstat(fd).st_mode), 'fstat does not show a directory')
    try:
        equal('listing', os.listdir(fd), [])
    except OSError as error:
        equal('errno of the listing', error.errno, errno.ENOENT)
    raises(errno.ENOENT, lambda: os.open('new', os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
    os.close(fd)
    equal('names', names(), [])


def rmdir_of_the_working_directory():
    """A process in a removed directory can make nothing in it (ENOENT) and leave it."""
    os.mkdir('d')
    os.chdir('d')
    os.rmdir('../d')
    raises(errno.ENOENT, os.open, 'new', os.O_WRONLY | os.O_CREAT, 0o644)
    raises(errno.ENOENT, os.getcwd)


def rmdir_then_make_it_again():
    """A directory made under the name of a removed open one is another one."""
    os.mkdir('d')
    fd = os.open('d', os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir('d')
    os.mkdir('d')
    put('d/new')
    check(os.fstat(fd).st_ino != os.stat('d').st_ino, 'both have one inode number')
    try:
        equal('listing of the removed one', os.listdir(fd), [])
    except OSError as error:
        equal('errno of that listing', error.errno, errno.ENOENT)
    os.close(fd)


def through_unlinkat():
    """unlinkat relative to a directory descriptor, with and without AT_REMOVEDIR."""
    os.makedirs('d/sub')
    put('d/f')
    fd = os.open('d', os.O_RDONLY | os.O_DIRECTORY)
    raises(errno.EISDIR, libc.unlinkat, 'sub', 0, fd)
    raises(errno.ENOTDIR, libc.unlinkat, 'f', libc.AT_REMOVEDIR, fd)
    libc.unlinkat('f', 0, fd)
    libc.unlinkat('sub', libc.AT_REMOVEDIR, fd)
    equal('names in d', names('d'), [])
    os.close(fd)
