# Work of people and programs that leaves descriptors, working directories and known names behind the times: trees that
# are renamed and made again, files that change names while they are open, lock files renamed over what others read.
# Guarantees: each case compares what every descriptor and every path shows.

import errno
import os

import libc
from kit import Peer, check, equal, exists, get, names, put, raises, write_all

BELOW = ['f', 'one/f', 'one/two/f', 'one/two/three/f', 'other/f']
DIRECTORIES = ['', 'one', 'one/two', 'one/two/three', 'other']


def _plant(top, text):
    """A tree of some depth, whose files say where they are from."""
    for path in DIRECTORIES:
        os.mkdir(os.path.join(top, path))
    for path in BELOW:
        put(os.path.join(top, path), f'{text} {path}'.encode())


def _walk(top):
    return sorted(os.path.relpath(os.path.join(at, name), top) for at, ds, fs in os.walk(top) for name in ds + fs)


def _same_tree(top, text):
    """All of it is there: listed, found, opened, with the right content."""
    equal(f'names below {top}', _walk(top), sorted([*filter(None, DIRECTORIES), *BELOW]))
    for path in BELOW:
        full = os.path.join(top, path)
        want = f'{text} {path}'.encode()
        equal(f'size of {full}', os.stat(full).st_size, len(want))
        equal(f'content of {full}', get(full), want)


def _change_everywhere(top):
    """In every directory a name is made, one renamed, one removed, and a file written to."""
    for directory in DIRECTORIES:
        at = os.path.join(top, directory)
        put(f'{at}/made', b'made')
        os.mkdir(f'{at}/dir')
        os.rename(f'{at}/made', f'{at}/renamed')
        with open(f'{at}/f', 'ab') as file:
            file.write(b'+')
        os.chmod(f'{at}/f', 0o600)


def _changed_everywhere(top, text):
    for directory in DIRECTORIES:
        at = os.path.join(top, directory)
        path = os.path.join(directory, 'f')
        below = [d for d in DIRECTORIES if d and os.path.dirname(d) == directory]
        equal(f'names in {at}', names(at), sorted(['f', 'renamed', 'dir', *map(os.path.basename, below)]))
        equal(f'content of {at}/f', get(f'{at}/f'), f'{text} {path}+'.encode())
        equal(f'mode of {at}/f', os.stat(f'{at}/f').st_mode & 0o777, 0o600)


def _renamed_tree(top, new):
    _plant(top, 'old')
    _same_tree(top, 'old')
    os.rename(top, new)
    for path in (*BELOW, *DIRECTORIES):
        raises(errno.ENOENT, os.stat, os.path.join(top, path))
    _same_tree(new, 'old')
    _plant(top, 'young')
    _same_tree(new, 'old')
    _same_tree(top, 'young')
    _change_everywhere(new)
    _same_tree(top, 'young')
    _changed_everywhere(new, 'old')
    _change_everywhere(top)
    _changed_everywhere(top, 'young')
    for path in BELOW:
        os.unlink(os.path.join(top, path))
    _changed_everywhere(new, 'old')


def below_a_renamed_directory():
    """Everything below a renamed directory is found, listed and changed there; a new one of the old name is another."""
    _renamed_tree('a', 'b')


def below_a_moved_directory():
    """Everything below a directory that moved to another one is found, listed and changed there."""
    os.makedirs('here')
    os.makedirs('there/deep')
    _renamed_tree('here/a', 'there/deep/a')


def below_a_directory_two_levels_up():
    """Everything below a directory is found after the grandparent of it was renamed."""
    os.makedirs('top/mid')
    _plant('top/mid/a', 'old')
    os.rename('top', 'was')
    os.makedirs('top/mid')
    _plant('top/mid/a', 'young')
    _change_everywhere('was/mid/a')
    _same_tree('top/mid/a', 'young')
    _changed_everywhere('was/mid/a', 'old')


def a_directory_renamed_to_and_fro():
    """A directory changes its name twenty times while a file in it is written by descriptor, by path and by openat."""
    os.mkdir('a')
    put('a/f')
    fd = os.open('a/f', os.O_RDWR | os.O_APPEND)
    top = os.open('a', os.O_RDONLY | os.O_DIRECTORY)
    want = b''
    for turn in range(10):
        for old, new in (('a', 'b'), ('b', 'a')):
            os.rename(old, new)
            os.mkdir(old)
            put(f'{old}/f', b'innocent')
            os.write(fd, b'd')
            with open(f'{new}/f', 'ab') as file:
                file.write(b'p')
            inner = os.open('f', os.O_WRONLY | os.O_APPEND, dir_fd=top)
            os.write(inner, b'o')
            os.close(inner)
            want += b'dpo'
            equal(f'innocent file in turn {turn}', get(f'{old}/f'), b'innocent')
            equal(f'our file in turn {turn}', get(f'{new}/f'), want)
            os.unlink(f'{old}/f')
            os.rmdir(old)


def many_open_files_in_a_renamed_tree():
    """Descriptors of all files of a tree are cut, written and synced after the tree was renamed and made again."""
    _plant('a', 'old')
    fds = {path: os.open(f'a/{path}', os.O_RDWR) for path in BELOW}
    os.rename('a', 'b')
    _plant('a', 'young')
    for path, fd in fds.items():
        os.ftruncate(fd, 3)
        os.pwrite(fd, path.encode(), 3)
        os.fchmod(fd, 0o600)
        os.fsync(fd)
    _same_tree('a', 'young')
    for path, fd in fds.items():
        equal(f'content of b/{path}', get(f'b/{path}'), b'old' + path.encode())
        equal(f'mode of b/{path}', os.stat(f'b/{path}').st_mode & 0o777, 0o600)
        equal(f'mode of a/{path}', os.stat(f'a/{path}').st_mode & 0o777, 0o644)
        os.close(fd)
    _same_tree('a', 'young')


def a_chain_of_renames_while_open():
    """A file gets ten names one after the other, and each old one is made again: its descriptor goes on meaning it."""
    put('n0')
    fd = os.open('n0', os.O_RDWR | os.O_APPEND)
    for turn in range(10):
        new = f'n{turn + 1}'
        os.rename(f'n{turn}', new)
        put(f'n{turn}', b'innocent %d' % turn)
        os.write(fd, b'%d' % turn)
        os.fchmod(fd, 0o600 + turn % 8)
        libc.futimens(fd, 10**18, 10**18 + turn * 10**9)
        equal('size by descriptor', os.fstat(fd).st_size, turn + 1)
        equal('size by name', os.stat(new).st_size, turn + 1)
        equal('mode by name', os.stat(new).st_mode & 0o777, 0o600 + turn % 8)
        equal('mtime by name', os.stat(new).st_mtime_ns, 10**18 + turn * 10**9)
    os.ftruncate(fd, 5)
    equal('content', get('n10'), b'01234')
    os.close(fd)
    for turn in range(10):
        equal(f'innocent file {turn}', get(f'n{turn}'), b'innocent %d' % turn)
        equal(f'mode of innocent file {turn}', os.stat(f'n{turn}').st_mode & 0o777, 0o644)


def swapping_two_open_files():
    """Two files change names twenty times by three renames, and each descriptor goes on meaning its own."""
    put('a')
    put('b')
    fds = {text: os.open(name, os.O_RDWR | os.O_APPEND) for name, text in (('a', b'A'), ('b', b'B'))}
    modes = {b'A': 0o600, b'B': 0o640}
    want = dict.fromkeys(fds, b'')
    for turn in range(20):
        os.rename('a', 't')
        os.rename('b', 'a')
        os.rename('t', 'b')
        size = turn % 5 + 1
        for text, fd in fds.items():
            os.write(fd, text)
            os.ftruncate(fd, size)
            os.fchmod(fd, modes[text])
            want[text] = (want[text] + text)[:size].ljust(size, b'\0')
        for text, name in zip(fds, 'ba' if turn % 2 == 0 else 'ab', strict=True):
            equal(f'content of {name} in turn {turn}', get(name), want[text])
            equal(f'size of {name} in turn {turn}', os.stat(name).st_size, size)
            equal(f'mode of {name} in turn {turn}', os.stat(name).st_mode & 0o777, modes[text])
    for fd in fds.values():
        os.close(fd)


def a_lock_file_renamed_over_what_others_read():
    """git's way: a lock file is made, written and renamed over the file, many times; each reader keeps its version."""
    put('config', b'version 0')
    readers = [os.open('config', os.O_RDONLY)]
    for version in range(1, 25):
        fd = os.open('config.lock', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        raises(errno.EEXIST, os.open, 'config.lock', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        write_all(fd, b'version %d' % version)
        os.fchmod(fd, 0o644)
        if version % 2:  # some close before the rename and some after it
            os.close(fd)
            fd = None
        os.rename('config.lock', 'config')
        if fd is not None:
            write_all(fd, b' and more')
            os.close(fd)
        readers.append(os.open('config', os.O_RDONLY))
        equal('names', names(), ['config'])
        equal('mode', os.stat('config').st_mode & 0o777, 0o644)
    for version, reader in enumerate(readers):
        more = b'' if version % 2 or version == 0 else b' and more'
        equal(f'what reader {version} has', os.pread(reader, 100, 0), b'version %d' % version + more)
        os.close(reader)


def a_lock_file_that_comes_to_nothing():
    """A lock file that is removed while it is open, made again and renamed over the file: the first changes nothing."""
    put('ref', b'old')
    first = os.open('ref.lock', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink('ref.lock')
    second = os.open('ref.lock', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(first, b'lost')
    os.write(second, b'new content')
    os.rename('ref.lock', 'ref')
    os.ftruncate(first, 1)
    os.fchmod(first, 0o666)
    os.fsync(first)
    equal('ref', get('ref'), b'new content')
    equal('mode of ref', os.stat('ref').st_mode & 0o777, 0o644)
    equal('what was lost', os.pread(first, 100, 0), b'l')


def logs_that_are_rotated():
    """log.1 becomes log.2 and log becomes log.1, three times, and all those who write go on in their own file."""
    writers = []
    for turn in range(4):
        for number in range(turn - 1, -1, -1):
            os.rename(f'log.{number}' if number else 'log', f'log.{number + 1}')
        writers.append(os.open('log', os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644))
        for number, fd in enumerate(writers):
            os.write(fd, b'%d' % number)
    for number, fd in enumerate(writers):
        os.ftruncate(fd, 1)
        os.write(fd, b'end')
        os.close(fd)
    equal('names', names(), ['log', 'log.1', 'log.2', 'log.3'])
    for number in range(4):
        name = f'log.{3 - number}' if number < 3 else 'log'
        equal(f'content of {name}', get(name), b'%dend' % number)


def an_editor_that_keeps_the_old_file():
    """A file is renamed to a backup, and a new one takes its name and mode: what has it open changes the backup."""
    put('text', b'old text', mode=0o640)
    fd = os.open('text', os.O_RDWR)
    os.rename('text', 'text~')
    new = os.open('text', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    write_all(new, b'new text')
    os.fchmod(new, os.fstat(fd).st_mode & 0o777)
    libc.futimens(new, 10**18, 10**18)
    os.close(new)
    os.pwrite(fd, b'OLD', 0)
    os.ftruncate(fd, 5)
    os.close(fd)
    equal('text', get('text'), b'new text')
    equal('mtime of text', os.stat('text').st_mtime_ns, 10**18)
    equal('mode of text', os.stat('text').st_mode & 0o777, 0o640)
    equal('backup', get('text~'), b'OLD t')


def releases_that_take_turns():
    """A tree is built beside the current one and takes its name; who works in an old one stays in it."""
    fds = []
    for turn in range(5):
        _plant('next', f'release {turn}')
        if exists('current'):
            os.rename('current', f'old-{turn}')
        os.rename('next', 'current')
        fds.append(os.open('current/one/two', os.O_RDONLY | os.O_DIRECTORY))
        for age, fd in enumerate(fds):
            inner = os.open(f'turn-{turn}', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd)
            os.write(inner, b'%d' % age)
            os.close(inner)
    for turn, fd in enumerate(fds):
        top = f'old-{turn + 1}' if turn < 4 else 'current'
        want = sorted(['f', 'three', *(f'turn-{t}' for t in range(turn, 5))])
        equal(f'names in {top}/one/two', names(f'{top}/one/two'), want)
        equal(f'names by descriptor of {top}/one/two', names(fd), want)
        equal(f'content of {top}/one/two/f', get(f'{top}/one/two/f'), f'release {turn} one/two/f'.encode())
        equal(f'content of {top}/one/two/turn-4', get(f'{top}/one/two/turn-4'), b'%d' % turn)
        os.close(fd)


def another_process_takes_the_name():
    """A process works in a directory that another one renames and makes again: each acts on its own."""
    os.mkdir('d')
    put('d/f', b'ours')
    fd = os.open('d/f', os.O_RDWR)
    with Peer() as other:
        other.do(os.chdir, 'd')
        os.rename('d', 'e')
        os.mkdir('d')
        put('d/f', b'innocent')
        other.do(put, 'new', b'by the other')
        other.do(os.rename, 'f', 'g')
        equal('names in its directory', other.do(names), ['g', 'new'])
        os.ftruncate(fd, 2)
        other.do(os.truncate, 'g', 1)
        other.do(os.unlink, 'new')
        equal('content for the other', other.do(get, 'g'), b'o')
    equal('names in d', names('d'), ['f'])
    equal('content of d/f', get('d/f'), b'innocent')
    equal('names in e', names('e'), ['g'])
    equal('content of e/g', get('e/g'), b'o')
    os.close(fd)


def the_name_is_another_kind_of_thing():
    """The old name of an open file becomes a directory, and that of an open directory a file."""
    put('f', b'file')
    os.mkdir('d')
    put('d/inner', b'inner')
    fd, top = os.open('f', os.O_RDWR), os.open('d', os.O_RDONLY | os.O_DIRECTORY)
    os.rename('f', 'g')
    os.rename('d', 'e')
    os.mkdir('f', 0o755)
    put('d', b'innocent')
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 2)
    os.chmod(top, 0o700)
    equal('listing by descriptor', names(top), ['inner'])
    os.unlink('inner', dir_fd=top)
    check(os.path.isdir('f'), 'f is no directory any more')
    equal('modes', [os.stat(p).st_mode & 0o777 for p in 'fgde'], [0o755, 0o600, 0o644, 0o700])
    equal('content of d', get('d'), b'innocent')
    equal('content of g', get('g'), b'fi')
    equal('names in e', names('e'), [])
