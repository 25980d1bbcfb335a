# Hard links and symbolic links: counts, texts, loops, and which calls follow.

import errno
import os
import stat

from kit import Skip, check, equal, get, names, put, raises, tick


def hard():
    """Two names, one file: same inode, count 2, a write through one is read through the other."""
    put('a', b'content')
    os.link('a', 'b')
    a, b = os.stat('a'), os.stat('b')
    equal('inode of b', b.st_ino, a.st_ino)
    equal('link counts', (a.st_nlink, b.st_nlink), (2, 2))
    put('b', b'changed through b')
    equal('content of a', get('a'), b'changed through b')
    equal('size of a', os.stat('a').st_size, 17)


def hard_counts():
    """The count goes up with every link and down with every unlink, and all names show it."""
    put('f')
    for i in range(1, 11):
        os.link('f', f'l{i}')
        equal(f'count after link {i}', os.stat('f').st_nlink, i + 1)
    for i in range(1, 11):
        os.unlink(f'l{i}')
        equal(f'count after unlink {i}', os.stat('f').st_nlink, 11 - i)


def hard_shares_attributes():
    """chmod and utime through one name show through the other."""
    put('a')
    os.link('a', 'b')
    os.chmod('a', 0o600)
    os.utime('a', ns=(10**18, 10**18))
    equal('mode of b', stat.S_IMODE(os.stat('b').st_mode), 0o600)
    equal('mtime of b', os.stat('b').st_mtime_ns, 10**18)


def hard_ctime():
    """A new link gives the file a new ctime."""
    put('a')
    before = os.stat('a').st_ctime_ns
    tick()
    os.link('a', 'b')
    check(os.stat('a').st_ctime_ns > before, f'ctime did not advance from {before}')


def hard_in_another_directory():
    """A link may lie in another directory and outlive the first name and its directory."""
    os.mkdir('d1')
    os.mkdir('d2')
    put('d1/a', b'content')
    os.link('d1/a', 'd2/b')
    os.unlink('d1/a')
    os.rmdir('d1')
    equal('content', get('d2/b'), b'content')
    equal('count', os.stat('d2/b').st_nlink, 1)


def hard_to_an_open_file():
    """A descriptor sees the count of links made and removed after it was opened."""
    put('a', b'content')
    fd = os.open('a', os.O_RDONLY)
    os.link('a', 'b')
    equal('count after link', os.fstat(fd).st_nlink, 2)
    os.unlink('a')
    equal('count after unlink', os.fstat(fd).st_nlink, 1)
    equal('content', os.pread(fd, 10, 0), b'content')
    os.close(fd)


def hard_to_a_directory():
    """EPERM."""
    os.mkdir('d')
    raises(errno.EPERM, os.link, 'd', 'e')
    equal('names', names(), ['d'])


def hard_over_an_existing_name():
    """EEXIST for a file, a directory, a symlink and the file itself."""
    put('a')
    put('b', b'b')
    os.mkdir('d')
    os.symlink('nowhere', 's')
    for target in ('b', 'd', 's', 'a'):
        raises(errno.EEXIST, os.link, 'a', target)
    equal('content of b', get('b'), b'b')
    equal('count of a', os.stat('a').st_nlink, 1)


def hard_from_a_missing_name():
    """ENOENT for a missing source or target directory, ENOTDIR below a file."""
    put('a')
    raises(errno.ENOENT, os.link, 'missing', 'b')
    raises(errno.ENOENT, os.link, 'a', 'missing/b')
    raises(errno.ENOTDIR, os.link, 'a', 'a/b')


def hard_to_a_symlink():
    """linkat without AT_SYMLINK_FOLLOW links the symlink itself, with it the file behind."""
    put('target', b'content')
    os.symlink('target', 's')
    os.link('s', 'l', follow_symlinks=False)
    check(os.path.islink('l'), 'l is not a symlink')
    equal('count of the symlink', os.lstat('s').st_nlink, 2)
    here = os.open('.', os.O_RDONLY)
    # With a directory given Python calls linkat, without one link, which does not follow whatever is asked.
    os.link('s', 'f', src_dir_fd=here, follow_symlinks=True)
    os.close(here)
    check(not os.path.islink('f'), 'f is a symlink')
    equal('count of the target', os.stat('target').st_nlink, 2)


def hard_survives_rename():
    """Renaming one of the names leaves the others linked to the same file."""
    put('a', b'content')
    os.link('a', 'b')
    os.rename('a', 'c')
    equal('inode of c', os.stat('c').st_ino, os.stat('b').st_ino)
    equal('count', os.stat('b').st_nlink, 2)


def soft():
    """The text comes back exactly, stat follows, lstat does not."""
    put('target', b'content')
    os.symlink('target', 's')
    equal('text', os.readlink('s'), 'target')
    equal('content through the link', get('s'), b'content')
    check(stat.S_ISLNK(os.lstat('s').st_mode), 'lstat does not show a symlink')
    equal('inode through the link', os.stat('s').st_ino, os.stat('target').st_ino)
    check(os.lstat('s').st_ino != os.stat('target').st_ino, 'the link has the inode of its target')


def soft_size():
    """lstat's size is the length of the text in bytes."""
    for text in ('x', 'some/longer/text', 'ünïcödé/日本語', '/' + 'a' * 200):
        os.symlink(text, 's')
        equal(f'size of a link to {text!r}', os.lstat('s').st_size, len(os.fsencode(text)))
        os.unlink('s')


def soft_texts():
    """Any text is kept as it is: dots, double and trailing slashes, spaces, newlines, bytes above 127."""
    for text in (
        '.',
        '..',
        '/',
        '//',
        'a//b/',
        '../../x',
        ' a b ',
        'new\nline',
        'back\\slash',
        '%41',
        'ü',
        '~',
        '$HOME',
        '-',
    ):
        os.symlink(text, 's')
        equal('text', os.readlink('s'), text)
        os.unlink('s')


def _soft_of_length(length):
    text = ('0123456789abcde/' * 256)[:length]
    try:
        os.symlink(text, 's')
    except OSError as error:
        # xfs stops at 1024 bytes, ext4 at its block size: shorter than the kernel's limit is the file system's right.
        if error.errno == errno.ENAMETOOLONG and length > 1023:
            raise Skip(f'this file system has no symlinks of {length} bytes') from None
        raise
    got = os.readlink('s')
    check(got == text, f'{length} bytes were stored, {len(got)} others came back')
    equal('size', os.lstat('s').st_size, length)


def soft_of_1023_bytes():
    """A text of 1023 bytes comes back whole."""
    _soft_of_length(1023)


def soft_of_1024_bytes():
    """A text of 1024 bytes comes back whole."""
    _soft_of_length(1024)


def soft_of_4095_bytes():
    """A text of 4095 bytes, the longest there can be, comes back whole."""
    _soft_of_length(4095)


def soft_too_long():
    """ENAMETOOLONG for a text of 4096 bytes, ENOENT for an empty one."""
    raises(errno.ENAMETOOLONG, os.symlink, 'a' * 4096, 's')
    raises(errno.ENOENT, os.symlink, '', 's')
    equal('names', names(), [])


def soft_over_an_existing_name():
    """EEXIST, also over a dangling symlink."""
    put('f')
    os.symlink('nowhere', 's')
    raises(errno.EEXIST, os.symlink, 'x', 'f')
    raises(errno.EEXIST, os.symlink, 'x', 's')
    equal('text', os.readlink('s'), 'nowhere')


def soft_loop():
    """ELOOP for a link to itself and for two that point to each other; lstat and readlink work."""
    os.symlink('self', 'self')
    os.symlink('b', 'a')
    os.symlink('a', 'b')
    for name in ('self', 'a', 'b'):
        raises(errno.ELOOP, os.stat, name)
        raises(errno.ELOOP, os.open, name, os.O_RDONLY)
        check(stat.S_ISLNK(os.lstat(name).st_mode), f'lstat of {name} does not show a symlink')
    equal('text', os.readlink('a'), 'b')


def soft_loop_inside_a_path():
    """ELOOP when the loop is a component in the middle."""
    os.symlink('a', 'a')
    raises(errno.ELOOP, os.stat, 'a/b')
    raises(errno.ELOOP, os.mkdir, 'a/b')
    raises(errno.ELOOP, os.unlink, 'a/b')


def soft_chain():
    """A chain of 40 links is followed, one of 41 is ELOOP."""
    put('l0', b'content')
    for i in range(1, 42):
        os.symlink(f'l{i - 1}', f'l{i}')
    equal('content through 40 links', get('l40'), b'content')
    raises(errno.ELOOP, os.stat, 'l41')


def soft_to_a_directory():
    """A link to a directory is walked through, listed through, and made in."""
    os.makedirs('d/sub')
    os.symlink('d', 's')
    put('s/f', b'content')
    equal('content', get('d/f'), b'content')
    equal('listing', names('s'), ['f', 'sub'])
    equal('inode of s/', os.stat('s/').st_ino, os.stat('d').st_ino)
    equal('.. behind the link', os.stat('s/sub/..').st_ino, os.stat('d').st_ino)


def soft_dangling():
    """stat and open say ENOENT; O_CREAT makes the target."""
    os.symlink('target', 's')
    raises(errno.ENOENT, os.stat, 's')
    raises(errno.ENOENT, os.open, 's', os.O_RDONLY)
    put('s', b'content')
    equal('content of the target', get('target'), b'content')
    check(os.path.islink('s'), 's is no longer a symlink')


def soft_is_not_followed_by_mkdir():
    """mkdir and mknod over a dangling symlink say EEXIST."""
    os.symlink('target', 's')
    raises(errno.EEXIST, os.mkdir, 's')
    raises(errno.EEXIST, os.mkfifo, 's')
    equal('names', names(), ['s'])


def soft_chmod_and_chown():
    """chmod goes to the target; lchown by its owner to itself is allowed on the link."""
    put('target', mode=0o644)
    os.symlink('target', 's')
    os.chmod('s', 0o600)
    equal('mode of the target', stat.S_IMODE(os.stat('target').st_mode), 0o600)
    os.lchown('s', os.getuid(), os.getgid())
    equal('text', os.readlink('s'), 'target')


def soft_readlink_of_others():
    """EINVAL for readlink of a file and of a directory, ENOENT for a missing name."""
    put('f')
    os.mkdir('d')
    raises(errno.EINVAL, os.readlink, 'f')
    raises(errno.EINVAL, os.readlink, 'd')
    raises(errno.ENOENT, os.readlink, 'missing')


def soft_replaced():
    """A link that was replaced by another is read anew."""
    put('one', b'1')
    put('two', b'2')
    os.symlink('one', 's')
    equal('content', get('s'), b'1')
    os.symlink('two', 't')
    os.rename('t', 's')
    equal('text', os.readlink('s'), 'two')
    equal('content', get('s'), b'2')


def soft_replaced_by_a_file():
    """A name that was a symlink and now is a file is opened as a file."""
    put('target', b'target')
    os.symlink('target', 'n')
    equal('content', get('n'), b'target')
    os.unlink('n')
    put('n', b'a file of its own')
    equal('content of n', get('n'), b'a file of its own')
    equal('content of target', get('target'), b'target')
    raises(errno.EINVAL, os.readlink, 'n')


def soft_absolute():
    """An absolute link is followed from the root of the system."""
    put('target', b'content')
    os.symlink(os.path.join(os.getcwd(), 'target'), 's')
    equal('content', get('s'), b'content')
