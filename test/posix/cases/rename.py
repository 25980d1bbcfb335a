# rename(2), renameat2(2): what may replace what, what stays open, what the two parents show afterwards.

import errno
import os

import libc
from kit import Peer, Skip, check, equal, exists, get, names, put, raises, tick


def plain():
    """A file gets its new name, keeps its inode and content, and loses the old name."""
    put('a', b'content')
    ino = os.stat('a').st_ino
    os.rename('a', 'b')
    check(not exists('a'), 'the old name is still there')
    equal('content under the new name', get('b'), b'content')
    equal('inode under the new name', os.stat('b').st_ino, ino)
    equal('names', names(), ['b'])


def over_a_file():
    """The replaced file is gone, the new one is under its name."""
    put('a', b'new')
    put('b', b'old')
    os.rename('a', 'b')
    equal('names', names(), ['b'])
    equal('content of b', get('b'), b'new')


def over_an_open_file():
    """A descriptor on the replaced file still reads the old content; its link count is 0."""
    put('a', b'new')
    put('b', b'old content')
    fd = os.open('b', os.O_RDWR)
    os.rename('a', 'b')
    equal('read through the old descriptor', os.pread(fd, 100, 0), b'old content')
    equal('link count through the old descriptor', os.fstat(fd).st_nlink, 0)
    os.pwrite(fd, b'OLD', 0)
    equal('content of b', get('b'), b'new')
    os.close(fd)


def of_an_open_file():
    """A descriptor goes on working after its file got another name."""
    put('a', b'one')
    fd = os.open('a', os.O_RDWR)
    os.rename('a', 'b')
    os.pwrite(fd, b'two', 0)
    equal('content of b', get('b'), b'two')
    os.ftruncate(fd, 1)
    equal('size of b', os.stat('b').st_size, 1)
    os.fchmod(fd, 0o600)
    equal('mode of b', os.stat('b').st_mode & 0o777, 0o600)
    os.close(fd)


def of_a_file_that_was_empty_when_it_was_opened():
    """Two descriptors of an empty file write on after it got another name, and one that appends finds its end."""
    appending = os.open('a', os.O_RDWR | os.O_CREAT | os.O_APPEND)
    other = os.open('a', os.O_RDWR)
    os.rename('a', 'b')
    os.pwrite(other, b'one', 0)
    os.write(appending, b' and two')
    equal('content by the descriptor', os.pread(other, 100, 0), b'one and two')
    equal('content of b', get('b'), b'one and two')
    os.fsync(appending)
    os.close(appending)
    os.close(other)


def of_a_file_twice_while_open():
    """fstat and reads follow a file through two renames and an intermediate directory."""
    os.mkdir('d')
    put('a', b'content')
    fd = os.open('a', os.O_RDONLY)
    os.rename('a', 'd/b')
    os.rename('d/b', 'd/c')
    equal('content', os.pread(fd, 100, 0), b'content')
    equal('inode', os.fstat(fd).st_ino, os.stat('d/c').st_ino)
    os.close(fd)


def over_an_empty_directory():
    """A directory replaces an empty directory."""
    os.mkdir('a')
    put('a/inside')
    os.mkdir('b')
    os.rename('a', 'b')
    equal('names', names(), ['b'])
    equal('names in b', names('b'), ['inside'])


def over_a_directory_that_is_not_empty():
    """ENOTEMPTY or EEXIST, and nothing has changed."""
    os.mkdir('a')
    os.mkdir('b')
    put('b/inside')
    raises((errno.ENOTEMPTY, errno.EEXIST), os.rename, 'a', 'b')
    equal('names', names(), ['a', 'b'])
    equal('names in b', names('b'), ['inside'])


def directory_over_file():
    """ENOTDIR, and both stay."""
    os.mkdir('a')
    put('b', b'b')
    raises(errno.ENOTDIR, os.rename, 'a', 'b')
    equal('content of b', get('b'), b'b')
    check(os.path.isdir('a'), 'a is not a directory any more')


def file_over_directory():
    """EISDIR, and both stay."""
    put('a', b'a')
    os.mkdir('b')
    raises(errno.EISDIR, os.rename, 'a', 'b')
    equal('content of a', get('a'), b'a')
    check(os.path.isdir('b'), 'b is not a directory any more')


def into_own_subdirectory():
    """EINVAL for a directory moved below itself."""
    os.makedirs('a/b/c')
    raises(errno.EINVAL, os.rename, 'a', 'a/b/c/d')
    check(os.path.isdir('a/b/c'), 'the tree has changed')


def over_own_ancestor():
    """ENOTEMPTY or EEXIST for a directory moved over its own parent."""
    os.makedirs('a/b')
    raises((errno.ENOTEMPTY, errno.EEXIST), os.rename, 'a/b', 'a')
    check(os.path.isdir('a/b'), 'the tree has changed')


def to_the_same_name():
    """Nothing happens."""
    put('a', b'content')
    ino = os.stat('a').st_ino
    os.rename('a', 'a')
    equal('content', get('a'), b'content')
    equal('inode', os.stat('a').st_ino, ino)


def directory_to_the_same_name():
    """Nothing happens."""
    os.mkdir('a')
    put('a/inside')
    os.rename('a', 'a')
    equal('names in a', names('a'), ['inside'])


def of_hard_links_to_the_same_file():
    """Both names are links to one file: success, and both stay."""
    put('a', b'content')
    os.link('a', 'b')
    os.rename('a', 'b')
    equal('names', names(), ['a', 'b'])
    equal('link count', os.stat('a').st_nlink, 2)


def over_one_of_several_links():
    """The replaced file lives on under its other name, with one link less."""
    put('a', b'new')
    put('b', b'old')
    os.link('b', 'b2')
    os.rename('a', 'b')
    equal('content of b', get('b'), b'new')
    equal('content of b2', get('b2'), b'old')
    equal('link count of b2', os.stat('b2').st_nlink, 1)


def across_directories():
    """A file moves, with its content, from one directory to another."""
    os.mkdir('d1')
    os.mkdir('d2')
    put('d1/a', b'content')
    os.rename('d1/a', 'd2/b')
    equal('names in d1', names('d1'), [])
    equal('names in d2', names('d2'), ['b'])
    equal('content', get('d2/b'), b'content')


def of_a_directory_across_directories():
    """A tree moves; its .. is the new parent, and what was in it is found below the new name."""
    os.makedirs('d1/tree/deep')
    os.mkdir('d2')
    put('d1/tree/deep/file', b'content')
    os.rename('d1/tree', 'd2/moved')
    equal('content', get('d2/moved/deep/file'), b'content')
    check(not exists('d1/tree'), 'the old name is still there')
    equal('.. of the moved tree', os.stat('d2/moved/..').st_ino, os.stat('d2').st_ino)


def parents_link_counts():
    """Moving a directory moves the link that its .. is (on file systems that count them)."""
    os.makedirs('d1/tree')
    os.mkdir('d2')
    if os.stat('d1').st_nlink == 1:
        raise Skip('this file system does not count the links of directories')
    os.rename('d1/tree', 'd2/tree')
    equal('link count of the old parent', os.stat('d1').st_nlink, 2)
    equal('link count of the new parent', os.stat('d2').st_nlink, 3)


def link_count_of_a_parent_after_replacing_a_directory():
    """A directory that replaces another in the same parent leaves the parent with one link less."""
    os.makedirs('d/a')
    os.mkdir('d/b')
    if os.stat('d').st_nlink == 1:
        raise Skip('this file system does not count the links of directories')
    equal('link count before', os.stat('d').st_nlink, 4)
    os.rename('d/a', 'd/b')
    equal('link count after', os.stat('d').st_nlink, 3)


def parents_mtime():
    """Both parents get a new mtime and ctime."""
    os.mkdir('d1')
    os.mkdir('d2')
    put('d1/a')
    before = [os.stat(d) for d in ('d1', 'd2')]
    tick()
    os.rename('d1/a', 'd2/a')
    for d, old in zip(('d1', 'd2'), before, strict=True):
        new = os.stat(d)
        check(new.st_mtime_ns > old.st_mtime_ns, f'mtime of {d} did not advance from {old.st_mtime_ns}')
        check(new.st_ctime_ns > old.st_ctime_ns, f'ctime of {d} did not advance from {old.st_ctime_ns}')


def ctime():
    """The renamed file gets a new ctime and keeps its mtime."""
    put('a', b'content')
    old = os.stat('a')
    tick()
    os.rename('a', 'b')
    new = os.stat('b')
    check(new.st_ctime_ns > old.st_ctime_ns, f'ctime did not advance from {old.st_ctime_ns}')
    equal('mtime', new.st_mtime_ns, old.st_mtime_ns)


def open_directory_goes_along():
    """A descriptor on a directory still names it after a rename: openat and listing work."""
    os.mkdir('d')
    put('d/a', b'content')
    fd = os.open('d', os.O_RDONLY | os.O_DIRECTORY)
    os.rename('d', 'e')
    equal('listing through the descriptor', os.listdir(fd), ['a'])
    inner = os.open('a', os.O_RDONLY, dir_fd=fd)
    equal('content', os.read(inner, 100), b'content')
    os.close(inner)
    made = os.open('b', os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
    os.close(made)
    equal('names in e', names('e'), ['a', 'b'])
    os.close(fd)


def of_a_symlink():
    """The link moves, not what it points to."""
    put('target', b'content')
    os.symlink('target', 'a')
    os.rename('a', 'b')
    equal('text of b', os.readlink('b'), 'target')
    equal('names', names(), ['b', 'target'])


def over_a_symlink():
    """The link is replaced, not what it points to."""
    put('target', b'target')
    os.symlink('target', 'link')
    put('a', b'new')
    os.rename('a', 'link')
    check(not os.path.islink('link'), 'link is still a symlink')
    equal('content of link', get('link'), b'new')
    equal('content of target', get('target'), b'target')


def from_a_missing_name():
    """ENOENT for a missing source or a missing target directory."""
    put('a')
    raises(errno.ENOENT, os.rename, 'missing', 'b')
    raises(errno.ENOENT, os.rename, 'a', 'missing/b')
    equal('names', names(), ['a'])


def below_a_file():
    """ENOTDIR when a component of either path is a file."""
    put('a')
    put('b')
    raises(errno.ENOTDIR, os.rename, 'a', 'b/c')
    raises(errno.ENOTDIR, os.rename, 'b/c', 'd')


def dots():
    """The last component of neither path may be . or .. (EBUSY or EINVAL)."""
    os.mkdir('d')
    raises((errno.EBUSY, errno.EINVAL), os.rename, 'd/.', 'e')
    raises((errno.EBUSY, errno.EINVAL), os.rename, 'd/..', 'e')
    raises((errno.EBUSY, errno.EINVAL, errno.ENOTEMPTY, errno.EEXIST), os.rename, 'd', 'd/..')


def the_old_name_can_be_made_again():
    """After a rename the old name is free and a new file under it is another file."""
    put('a', b'first')
    os.rename('a', 'b')
    fd = os.open('a', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, b'second')
    os.close(fd)
    equal('content of a', get('a'), b'second')
    equal('content of b', get('b'), b'first')
    check(os.stat('a').st_ino != os.stat('b').st_ino, 'both names show one inode')


def swapping_by_three():
    """a and b change places by way of a third name, many times."""
    put('a', b'a')
    put('b', b'b')
    for _ in range(25):
        os.rename('a', 't')
        os.rename('b', 'a')
        os.rename('t', 'b')
    equal('content of a', get('a'), b'b')
    equal('content of b', get('b'), b'a')


def noreplace():
    """RENAME_NOREPLACE: EEXIST when the target is there, a rename when it is not; or EINVAL for not having it."""
    put('a', b'a')
    put('b', b'b')
    if raises((errno.EEXIST, errno.EINVAL), libc.renameat2, 'a', 'b', libc.RENAME_NOREPLACE) == errno.EINVAL:
        equal('content of b', get('b'), b'b')
        return
    equal('content of b', get('b'), b'b')
    try:
        libc.renameat2('a', 'c', libc.RENAME_NOREPLACE)
    except OSError as error:
        # The kernel itself answers EEXIST where it knows of the target, so only this call shows what is supported.
        equal('errno of a rename with nothing in the way', error.errno, errno.EINVAL)
        equal('names', names(), ['a', 'b'])
        return
    equal('names', names(), ['b', 'c'])
    equal('content of c', get('c'), b'a')


def exchange():
    """RENAME_EXCHANGE swaps a file and a directory; or EINVAL and nothing has changed."""
    put('a', b'a')
    os.mkdir('d')
    put('d/inside')
    try:
        libc.renameat2('a', 'd', libc.RENAME_EXCHANGE)
    except OSError as error:
        equal('errno', error.errno, errno.EINVAL)
        equal('content of a', get('a'), b'a')
        return
    equal('content of d', get('d'), b'a')
    equal('names in a', names('a'), ['inside'])


def exchange_with_a_missing_name():
    """RENAME_EXCHANGE needs both names (ENOENT), or EINVAL for not having it."""
    put('a', b'a')
    raises((errno.ENOENT, errno.EINVAL), libc.renameat2, 'a', 'missing', libc.RENAME_EXCHANGE)
    equal('names', names(), ['a'])


def a_reader_never_misses_the_target():
    """While one process replaces a file over and over, another always finds it, whole."""
    put('target', b'0' * 1000)
    with Peer() as writer:
        writer.start(_replace_often, 'target', 100)
        seen = 0
        while writer.idle() or seen == 0:
            content = get('target')
            check(
                len(content) == 1000 and content == content[:1] * 1000,
                f'read a mixture or a part: {len(content)} bytes, {content[:20]!r}',
            )
            seen += 1
        writer.finish()


def _replace_often(path, times):
    for i in range(times):
        put('temporary', bytes([48 + i % 10]) * 1000)
        os.rename('temporary', path)
