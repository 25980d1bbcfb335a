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


# A byte that begins nothing, Latin-1, a surrogate and an escape of Python's in UTF-8, an overlong slash, what lies beyond Unicode,
# a character that is cut, and one between two stray bytes.
_ODD = (b'\xff', b'caf\xe9', b'\xed\xa0\x80', b'\xed\xb3\xbf', b'..\xc0\xaf', b'\xf4\x90\x80\x80', b'\xe2\x82')
_ODD += (b'\x80\xc3\xa9\xfe',)


def not_utf8():
    """Bytes that are no UTF-8 are a name like any other: made, opened, looked at, listed, renamed and removed as they are."""
    for name in _ODD:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        raises(errno.EEXIST, os.open, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        put(name, b'content of it')
        equal('content', get(name), b'content of it')
        equal('names', names(b'.'), [name])
        equal('size', os.stat(name).st_size, 13)
        os.truncate(name, 7)
        os.chmod(name, 0o600)
        os.utime(name, (1, 2))
        found = os.lstat(name)
        equal('size, mode, mtime', (found.st_size, found.st_mode & 0o7777, found.st_mtime), (7, 0o600, 2))
        os.rename(name, b'plain')
        raises(errno.ENOENT, os.stat, name)
        os.rename(b'plain', name)
        os.unlink(name)
        raises(errno.ENOENT, os.open, name, os.O_RDONLY)
        equal('names at the end', names(b'.'), [])


def not_utf8_directories():
    """Directories may have such names, and files in them; a walk through several finds its way."""
    for name in _ODD:
        os.mkdir(name)
        below = os.path.join(name, name)
        os.mkdir(below)
        put(os.path.join(below, name), b'deep')
        equal('content', get(os.path.join(below, name)), b'deep')
        equal('names below', (names(name), names(below)), ([name], [name]))
        raises(errno.ENOTEMPTY, os.rmdir, name)
        plain = os.path.join(name, b'plain')
        os.rename(below, plain)
        equal('content after the rename', get(os.path.join(plain, name)), b'deep')
        os.unlink(os.path.join(plain, name))
        os.rmdir(plain)
        os.rmdir(name)
    equal('names at the end', names(b'.'), [])


def not_utf8_kept_apart():
    """Names that differ only in a byte that is no UTF-8 are different files, and so is what a lossy decoder makes of them."""
    apart = [b'a\xfe', b'a\xff', b'a\xc0', b'a\xef\xbf\xbd', b'a?', b'a\\xff', b'a\xc3\xbf', b'a\xed\xb3\xbf']
    for name in apart:
        put(name, b'content of ' + name)
    equal('names', names(b'.'), sorted(apart))
    equal('inodes', len({os.stat(name).st_ino for name in apart}), len(apart))
    for name in apart:
        equal(f'content of {name}', get(name), b'content of ' + name)
    os.unlink(b'a\xff')
    raises(errno.ENOENT, os.stat, b'a\xff')
    os.rename(b'a\xfe', b'a\xc0')
    equal('content of the one renamed over another', get(b'a\xc0'), b'content of a\xfe')
    equal('names', names(b'.'), sorted(set(apart) - {b'a\xff', b'a\xfe'}))


def not_utf8_links():
    """A symbolic link keeps a target of any bytes and may be named so, and a file may have such a name and another."""
    for name in _ODD:
        target = os.path.join(b'.', name)
        link = b'to ' + name
        put(name, b'content')
        os.symlink(target, link)
        equal('target', os.readlink(link), target)
        equal('bytes of the target', os.lstat(link).st_size, len(target))
        equal('content by the link', get(link), b'content')
        os.link(name, b'second ' + name)
        equal('links', os.stat(name).st_nlink, 2)
        equal('names', names(b'.'), sorted([name, link, b'second ' + name]))
        for each in (name, link, b'second ' + name):
            os.unlink(each)
    os.symlink(b'\xff' * 3000, b'long')
    equal('long target', os.readlink(b'long'), b'\xff' * 3000)


def not_utf8_in_a_listing():
    """A long listing has every such name once, with its type and inode, also where all are as long as can be."""
    want = {b'%03d' % i + b'\xff' * 252: 'file' for i in range(150)}
    want.update({b'%03d\xe9' % i: 'directory' for i in range(150, 200)})
    for name, kind in want.items():
        if kind == 'file':
            put(name, name)
        else:
            os.mkdir(name)
    with os.scandir(b'.') as entries:
        found = {entry.name: (entry.is_dir(), entry.inode(), entry.stat().st_size) for entry in entries}
    equal('number of names', len(found), len(want))
    equal('names', sorted(found), sorted(want))
    for name, (is_dir, inode, size) in found.items():
        stat = os.stat(name)
        equal(f'what is listed of {name[:4]}', (is_dir, inode, size), (want[name] != 'file', stat.st_ino, stat.st_size))


def not_utf8_by_two_processes():
    """What another process makes, renames and removes under such a name is seen at once, also by an open descriptor."""
    with Peer() as other:
        raises(errno.ENOENT, os.stat, b'late\xff')
        other.do(put, b'late\xff', b'here')
        fd = os.open(b'late\xff', os.O_RDONLY)
        other.do(os.rename, b'late\xff', b'later\xfe')
        raises(errno.ENOENT, os.stat, b'late\xff')
        equal('content by the new name', get(b'later\xfe'), b'here')
        other.do(os.unlink, b'later\xfe')
        equal('content by the descriptor', os.pread(fd, 10, 0), b'here')
        os.close(fd)
        equal('names', names(b'.'), [])


def of_255_bytes_not_utf8():
    """A stray byte counts as one: 255 of them are a name, 256 are ENAMETOOLONG from every call."""
    longest, long = b'\xff' * 255, b'\xff' * 256
    put(longest, b'content')
    equal('content', get(longest), b'content')
    equal('names', names(b'.'), [longest])
    other = b'\xfe' * 255
    os.rename(longest, other)
    os.mkdir(longest)
    for fn, *args in (
        (os.stat, long),
        (os.open, long, os.O_RDONLY),
        (os.open, long, os.O_WRONLY | os.O_CREAT),
        (os.mkdir, long),
        (os.unlink, long),
        (os.rmdir, long),
        (os.rename, other, long),
        (os.link, other, long),
        (os.symlink, b'x', long),
        (os.stat, long + b'/below'),
    ):
        raises(errno.ENAMETOOLONG, fn, *args)
    equal('names at the end', names(b'.'), sorted([longest, other]))


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
