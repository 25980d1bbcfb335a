# What names may be, how long, and the errors of paths that lead nowhere.

import errno
import os
import tempfile
import unicodedata

from kit import Peer, Skip, check, equal, exists, get, names, put, raises


def _round_trip(name):
    """A file of this name is made, listed, read, renamed from and to, and removed."""
    put(name, b'content of it')
    equal('names', names(), [name])
    equal('content', get(name), b'content of it')
    os.rename(name, 'plain')
    os.rename('plain', name)
    equal('names after two renames', names(), [name])
    os.unlink(name)
    os.mkdir(name)
    put(os.path.join(name, 'inside'))
    equal('names in a directory of that name', names(name), ['inside'])
    os.unlink(os.path.join(name, 'inside'))
    os.rmdir(name)
    equal('names at the end', names(), [])


def of_255_bytes():
    """The longest name there is works for files and directories."""
    _round_trip('n' * 255)


def of_255_bytes_not_ascii():
    """The limit counts bytes, not characters."""
    name = 'ü' * 127 + 'x'
    equal('bytes of the name', len(os.fsencode(name)), 255)
    _round_trip(name)


def of_256_bytes():
    """ENAMETOOLONG from every call that takes a name."""
    long = 'n' * 256
    put('f')
    for fn, *args in (
        (os.stat, long),
        (os.open, long, os.O_RDONLY),
        (os.open, long, os.O_WRONLY | os.O_CREAT),
        (os.mkdir, long),
        (os.unlink, long),
        (os.rmdir, long),
        (os.rename, 'f', long),
        (os.link, 'f', long),
        (os.symlink, 'x', long),
        (os.mkfifo, long),
        (os.stat, f'{long}/below'),
    ):
        raises(errno.ENAMETOOLONG, fn, *args)
    equal('names', names(), ['f'])


def path_too_long():
    """ENAMETOOLONG for a path of 4096 bytes and more."""
    os.mkdir('d')
    raises(errno.ENAMETOOLONG, os.stat, './' * 2047 + 'd/')
    equal('inode by a path of 4095 bytes', os.stat('./' * 2047 + 'd').st_ino, os.stat('d').st_ino)


def long_path():
    """A path of more than 3,500 bytes through names of 200 works."""
    parts = [f'{i:02d}' + 'p' * 198 for i in range(17)]
    path = '/'.join(parts)
    os.makedirs(path)
    put(f'{path}/file', b'content')
    equal('content', get(f'{path}/file'), b'content')


def deep_tree():
    """One hundred levels of directories, reached by path and by ...."""
    path = '/'.join(f'l{i}' for i in range(100))
    os.makedirs(path)
    put(f'{path}/file', b'content')
    equal('content', get(f'{path}/file'), b'content')
    up = path + '/..' * 99
    equal('99 levels up', os.stat(up).st_ino, os.stat('l0').st_ino)


def spaces_and_signs():
    """Spaces, quotes, shell signs, percent, backslash, colon, leading dash and dots are ordinary characters."""
    for name in (
        ' ',
        '  two  ',
        'a b',
        '"',
        "'",
        '*',
        '?',
        '[a]',
        '%20',
        '%',
        '\\',
        'a\\b',
        ':',
        'C:',
        '-rf',
        '...',
        '..a',
        '~',
        '#',
        '|',
        ';',
        '&',
        '$x',
        '`',
        '!',
    ):
        _round_trip(name)


def control_characters():
    """Newline, tab and every other byte from 1 to 31 may be in a name."""
    _round_trip('new\nline')
    _round_trip('\t')
    _round_trip(''.join(map(chr, range(1, 32))) + '\x7f')


def not_ascii():
    """Names of two, three and four bytes a character come back as they were."""
    for name in ('grüße', 'файл', '日本語', '😀', 'a\u200bb', '\ufeffbom', '\ufffd', '\U0010ffff'):
        _round_trip(name)


def composed_and_decomposed():
    """Two spellings of the same letter in Unicode are two names."""
    composed, decomposed = unicodedata.normalize('NFC', 'é'), unicodedata.normalize('NFD', 'é')
    put(composed, b'composed')
    put(decomposed, b'decomposed')
    equal('names', names(), sorted([composed, decomposed]))
    equal('content', get(composed), b'composed')


def case_matters():
    """a and A are two names."""
    put('a', b'small')
    put('A', b'capital')
    equal('names', names(), ['A', 'a'])
    equal('content', get('a'), b'small')


def not_utf8():
    """Bytes that are no UTF-8 are either kept exactly or refused with EILSEQ or EINVAL, never changed."""
    name = b'bad\xff\xfename'
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except OSError as error:
        check(error.errno in (errno.EILSEQ, errno.EINVAL), f'refused with {error}')
        equal('names', os.listdir(b'.'), [])
        return
    equal('names', os.listdir(b'.'), [name])
    os.unlink(name)


def slashes():
    """Double and trailing slashes, . and .. in the middle of a path change nothing."""
    os.makedirs('a/b')
    put('a/b/f', b'content')
    for path in ('a//b///f', './a/./b/./f', 'a/b/../b/f', 'a/../a/b/f', './/a/b/f'):
        equal(f'content by {path}', get(path), b'content')
    equal('inode of a/b/', os.stat('a/b/').st_ino, os.stat('a/b').st_ino)


def trailing_slash():
    """A trailing slash asks for a directory: ENOTDIR on a file, EISDIR or ENOTDIR to create one, fine for mkdir."""
    put('f')
    raises(errno.ENOTDIR, os.stat, 'f/')
    raises(errno.ENOTDIR, os.open, 'f/', os.O_RDONLY)
    raises((errno.EISDIR, errno.ENOTDIR, errno.ENOENT), os.open, 'new/', os.O_WRONLY | os.O_CREAT)
    raises(errno.ENOTDIR, os.unlink, 'f/')
    os.mkdir('d/')
    os.rmdir('d/')
    equal('names', names(), ['f'])


def empty():
    """ENOENT for an empty path."""
    for fn, *args in ((os.stat, ''), (os.open, '', os.O_RDONLY), (os.mkdir, ''), (os.unlink, ''), (os.rename, '', 'a')):
        raises(errno.ENOENT, fn, *args)


def missing():
    """ENOENT from every call for a name that is not there."""
    for fn, *args in (
        (os.stat, 'm'),
        (os.lstat, 'm'),
        (os.open, 'm', os.O_RDONLY),
        (os.open, 'm', os.O_WRONLY | os.O_TRUNC),
        (os.truncate, 'm', 0),
        (os.chmod, 'm', 0o644),
        (os.chown, 'm', -1, -1),
        (os.utime, 'm'),
        (os.readlink, 'm'),
        (os.listdir, 'm'),
        (os.statvfs, 'm'),
        (os.chdir, 'm'),
    ):
        raises(errno.ENOENT, fn, *args)
    check(not os.access('m', os.F_OK), 'access says that it is there')


def missing_directory():
    """ENOENT when a directory on the way is missing."""
    for fn, *args in (
        (os.stat, 'm/x'),
        (os.open, 'm/x', os.O_WRONLY | os.O_CREAT),
        (os.mkdir, 'm/x'),
        (os.symlink, 't', 'm/x'),
        (os.mkfifo, 'm/x'),
        (os.unlink, 'm/x'),
        (os.rmdir, 'm/x'),
    ):
        raises(errno.ENOENT, fn, *args)


def file_on_the_way():
    """ENOTDIR when a component that should be a directory is a file, a fifo or a link to a file."""
    put('f')
    os.mkfifo('p')
    os.symlink('f', 's')
    for name in ('f', 'p', 's'):
        raises(errno.ENOTDIR, os.stat, f'{name}/x')
        raises(errno.ENOTDIR, os.open, f'{name}/x', os.O_WRONLY | os.O_CREAT)
        raises(errno.ENOTDIR, os.mkdir, f'{name}/x')
    raises(errno.ENOTDIR, os.listdir, 'f')
    raises(errno.ENOTDIR, os.chdir, 'f')


def seen_after_it_was_missing():
    """A name that was looked for in vain is found as soon as it has been made, also by another process."""
    raises(errno.ENOENT, os.stat, 'late')
    put('late', b'here')
    equal('content', get('late'), b'here')
    with Peer() as other:
        raises(errno.ENOENT, os.stat, 'later')
        other.do(put, 'later', b'here too')
        equal('content', get('later'), b'here too')
        other.do(os.unlink, 'later')
        raises(errno.ENOENT, os.stat, 'later')
    check(not exists('later'), 'the removed name is still seen')


def across_file_systems():
    """EXDEV for rename and link to and from another file system."""
    here = os.stat('.').st_dev
    for place in ('/dev/shm', tempfile.gettempdir(), '/var/tmp', '/run'):
        if os.path.isdir(place) and os.stat(place).st_dev != here and os.access(place, os.W_OK):
            break
    else:
        raise Skip('there is no second writable file system here')
    put('a', b'a')
    with tempfile.TemporaryDirectory(dir=place) as outside:
        put(f'{outside}/b', b'b')
        raises(errno.EXDEV, os.rename, 'a', f'{outside}/a')
        raises(errno.EXDEV, os.rename, f'{outside}/b', 'b')
        raises(errno.EXDEV, os.link, 'a', f'{outside}/a')
        raises(errno.EXDEV, os.link, f'{outside}/b', 'b')
        equal('names outside', os.listdir(outside), ['b'])
    equal('names', names(), ['a'])
