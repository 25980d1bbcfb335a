# Directories as such: making them, their link counts and times, their parents, trees of them.

import errno
import os
import shutil

from kit import Peer, check, equal, get, names, put, raises, same_mode, tick


def mkdir_plain():
    """A new directory is empty, has the mode asked for, and a link count of 2 (or 1 where they are not counted)."""
    os.mkdir('d', 0o750)
    equal('listing', os.listdir('d'), [])
    same_mode('d', 0o750)
    check(os.stat('d').st_nlink in (1, 2), f'link count {os.stat("d").st_nlink}')


def mkdir_over_an_existing_name():
    """EEXIST over a directory, a file and a symlink, . and .. ."""
    os.mkdir('d')
    put('f')
    os.symlink('d', 's')
    for name in ('d', 'f', 's', '.', '..', 'd/.'):
        raises(errno.EEXIST, os.mkdir, name)


def mkdir_race():
    """Of four processes that make one directory exactly one succeeds, time after time."""
    peers = [Peer() for _ in range(4)]
    try:
        for turn in range(20):
            for peer in peers:
                peer.start(_made_it, f'race{turn}')
            won = [peer.finish() for peer in peers]
            equal(f'winners of turn {turn}', won.count(True), 1)
    finally:
        for peer in peers:
            peer.__exit__()


def _made_it(name):
    try:
        os.mkdir(name)
        return True
    except FileExistsError:
        return False


def link_counts():
    """A directory has 2 links and one more for each sub-directory; or always 1."""
    os.mkdir('d')
    if os.stat('d').st_nlink == 1:
        for i in range(3):
            os.mkdir(f'd/s{i}')
        equal('link count', os.stat('d').st_nlink, 1)
        return
    for i in range(5):
        os.mkdir(f'd/s{i}')
        equal(f'link count with {i + 1} sub-directories', os.stat('d').st_nlink, i + 3)
    put('d/file')
    equal('link count with a file more', os.stat('d').st_nlink, 7)
    for i in range(5):
        os.rmdir(f'd/s{i}')
        equal(f'link count with {4 - i} sub-directories', os.stat('d').st_nlink, 6 - i)


def mtime_when_an_entry_is_made():
    """Every way to make an entry moves the mtime of the directory."""
    os.mkdir('d')
    put('file')
    for fn, *args in (
        (put, 'd/f'),
        (os.mkdir, 'd/d'),
        (os.symlink, 'x', 'd/s'),
        (os.mkfifo, 'd/p'),
        (os.link, 'file', 'd/l'),
    ):
        before = os.stat('d').st_mtime_ns
        tick()
        fn(*args)
        check(os.stat('d').st_mtime_ns > before, f'{fn.__name__} left the mtime of the directory at {before}')


def getcwd_follows_a_rename():
    """getcwd of a process tells the new path after a directory above it was renamed."""
    top = os.getcwd()
    os.makedirs('a/b')
    os.chdir('a/b')
    os.rename(f'{top}/a', f'{top}/c')
    equal('getcwd', os.getcwd(), f'{top}/c/b')
    put('here')
    equal('names', names(f'{top}/c/b'), ['here'])


def parent_by_dots():
    """.. leads to the directory above, by name and by descriptor, also above a file just made."""
    os.makedirs('a/b/c')
    equal('a/b/c/..', os.stat('a/b/c/..').st_ino, os.stat('a/b').st_ino)
    fd = os.open('a/b/c', os.O_RDONLY | os.O_DIRECTORY)
    up = os.open('../..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
    equal('../.. by descriptor', os.fstat(up).st_ino, os.stat('a').st_ino)
    os.close(up)
    os.close(fd)


def tree_made_walked_and_removed():
    """A tree of 3 levels with 5 directories and 5 files each is walked as it was made, and removed."""
    want = set()

    def grow(path, level):
        for i in range(5):
            put(f'{path}/f{i}', path.encode())
            want.add(f'{path}/f{i}')
        if level:
            for i in range(5):
                os.mkdir(f'{path}/d{i}')
                grow(f'{path}/d{i}', level - 1)

    os.mkdir('top')
    grow('top', 2)
    found = {os.path.join(base, f) for base, _, files in os.walk('top') for f in files}
    equal('files found', found == want, True)
    equal('content of one', get('top/d4/d4/f4'), b'top/d4/d4')
    shutil.rmtree('top')
    equal('names', names(), [])


def fsync_of_a_directory():
    """fsync of a directory works."""
    put('f')
    fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def size_is_not_for_truncate():
    """truncate of a directory says EISDIR."""
    os.mkdir('d')
    raises(errno.EISDIR, os.truncate, 'd', 0)
