# readdir: what is listed, with which type and inode, while the directory changes, and positions in a listing.

import errno
import os
import socket
import stat

import libc
from kit import Peer, Skip, check, equal, names, put, raises


def _fill(count, padding=0):
    """Empty files; with names padded to a hundred bytes a few hundred of them need several reads of the directory."""
    made = [f'f{i:05d}{"n" * padding}' for i in range(count)]
    for name in made:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return made


def _exactly_once(what, got, want):
    """Every wanted name once, and nothing else."""
    seen = set(got)
    doubled = sorted({n for n in got if got.count(n) > 1})[:5] if len(seen) != len(got) else []
    check(not doubled, f'{what}: listed more than once: {doubled}')
    missing, extra = sorted(set(want) - seen), sorted(seen - set(want))
    check(not missing, f'{what}: {len(missing)} not listed, such as {missing[:5]}')
    check(not extra, f'{what}: listed though not there: {extra[:5]}')


def kinds():
    """The listing tells the right type of every kind of entry."""
    put('reg')
    os.mkdir('dir')
    os.symlink('reg', 'lnk')
    os.mkfifo('fifo')
    with libc.Dir() as listing:
        got = {name: kind for name, _, kind in listing.rest() if name not in ('.', '..')}
    equal('types', got, {'reg': 'reg', 'dir': 'dir', 'lnk': 'lnk', 'fifo': 'fifo'})


def inodes():
    """The inode number in the listing is that of stat."""
    for i in range(20):
        put(f'f{i}')
    os.mkdir('d')
    os.symlink('f0', 's')
    with libc.Dir() as listing:
        for name, ino, _ in listing.rest():
            if name not in ('.', '..'):
                equal(f'inode of {name} in the listing', ino, os.lstat(name).st_ino)


def dots():
    """. and .. are listed once each, as directories, with the inodes of this one and of the one above."""
    os.makedirs('d/e')
    with libc.Dir('d/e') as listing:
        entries = listing.rest()
    equal('names', sorted(name for name, _, _ in entries), ['.', '..'])
    found = {name: (ino, kind) for name, ino, kind in entries}
    equal('. in the listing', found['.'], (os.stat('d/e').st_ino, 'dir'))
    equal('.. in the listing', found['..'], (os.stat('d').st_ino, 'dir'))


def two_thousand():
    """Every one of 2,000 entries is listed exactly once."""
    made = _fill(2000)
    _exactly_once('listing', os.listdir('.'), made)


def long_names():
    """Three hundred names of 255 bytes are listed exactly once each."""
    made = [f'{i:03d}' + 'n' * 252 for i in range(300)]
    for name in made:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644))
    _exactly_once('listing', os.listdir('.'), made)


def with_small_buffers():
    """getdents64 with a buffer for few entries finds each of 200 exactly once."""
    made = _fill(200)
    for size in (300, 512, 4096):
        fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
        got = []
        while part := libc.getdents(fd, size):
            got += [name for _, _, _, name in part]
        os.close(fd)
        _exactly_once(f'with buffers of {size} bytes', got, [*made, '.', '..'])


def with_a_buffer_too_small():
    """getdents64 with a buffer that holds no entry says EINVAL, not the end of the directory."""
    put('n' * 100)
    os.mkdir('empty')
    fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
    raises(errno.EINVAL, libc.getdents, fd, 16)
    os.close(fd)


def while_deleting():
    """Every entry is met once, none twice, and the loop ends, when each is deleted as it comes."""
    made = _fill(600, padding=94)
    got = []
    with os.scandir('.') as listing:
        for entry in listing:
            got.append(entry.name)
            os.unlink(entry.name)
    _exactly_once('listing', got, made)
    equal('names left', names(), [])


def while_deleting_a_few_ahead():
    """Entries that go while the listing is under way may or may not come; the others come exactly once."""
    made = _fill(600, padding=94)
    doomed = set(made[::3])
    got = []
    with libc.Dir() as listing:
        for _ in range(100):
            got.append(listing.read()[0])
        for name in doomed:
            os.unlink(name)
        got += [name for name, _, _ in listing.rest()]
    kept = set(made) - doomed
    _exactly_once('listing', [n for n in got if n in kept], kept)
    check(len(got) == len(set(got)), 'something was listed twice')


def while_creating():
    """Entries that were there before come exactly once, while new ones are made at every step."""
    made = _fill(400, padding=94)
    got, step = [], 0
    with os.scandir('.') as listing:
        for entry in listing:
            got.append(entry.name)
            if step < 400:
                put(f'new{step:05d}')
            step += 1
            check(step < 5000, 'the listing does not come to an end')
    _exactly_once('entries from before', [n for n in got if n.startswith('f')], made)
    check(len(got) == len(set(got)), 'something was listed twice')


def while_renaming():
    """Entries that stay come exactly once, while others change their names."""
    made = _fill(400, padding=94)
    movable = made[::2]
    kept = set(made[1::2])
    got = []
    with libc.Dir() as listing:
        for _ in range(50):
            got.append(listing.read()[0])
        for name in movable:
            os.rename(name, f'renamed-{name}')
        got += [name for name, _, _ in listing.rest()]
    _exactly_once('entries that stayed', [n for n in got if n in kept], kept)


def after_a_change():
    """A directory that was listed, changed and opened again shows the change."""
    _fill(10)
    equal('first listing', len(os.listdir('.')), 10)
    put('new')
    os.unlink('f00000')
    os.rename('f00001', 'renamed')
    equal(
        'second listing',
        names(),
        ['f00002', 'f00003', 'f00004', 'f00005', 'f00006', 'f00007', 'f00008', 'f00009', 'new', 'renamed'],
    )


def after_a_change_by_another_process():
    """The same when another process made the change."""
    put('a')
    equal('first listing', names(), ['a'])
    with Peer() as other:
        other.do(put, 'b')
        equal('with one more', names(), ['a', 'b'])
        other.do(os.unlink, 'a')
        equal('with one less', names(), ['b'])


def twice_at_once():
    """Two listings of one directory do not disturb each other."""
    made = _fill(300)
    with libc.Dir() as one, libc.Dir() as two:
        first = [one.read()[0] for _ in range(10)]
        second = [name for name, _, _ in two.rest()]
        first += [name for name, _, _ in one.rest()]
    _exactly_once('first listing', first, [*made, '.', '..'])
    _exactly_once('second listing', second, [*made, '.', '..'])


def telldir_and_seekdir():
    """From every position that telldir gave, seekdir goes on with the same entry as before."""
    _fill(300)
    with libc.Dir() as listing:
        order, positions = [], []
        while True:
            positions.append(listing.tell())
            entry = listing.read()
            if entry is None:
                break
            order.append(entry[0])
        for i in (0, 1, 2, 299, 150, 151, 10, 301, 5):
            listing.seek(positions[i])
            got = listing.read()
            equal(f'entry at position {i}', got and got[0], order[i])
        listing.seek(positions[200])
        equal('rest from position 200', [name for name, _, _ in listing.rest()], order[200:])
        listing.seek(positions[len(order)])
        equal('entry at the end', listing.read(), None)


def seekdir_after_deleting():
    """A position stays good when entries before it were deleted."""
    _fill(300)
    with libc.Dir() as listing:
        before = [listing.read()[0] for _ in range(100)]
        position = listing.tell()
        rest = [name for name, _, _ in listing.rest()]
        for name in before:
            if name not in ('.', '..'):
                os.unlink(name)
        listing.seek(position)
        equal('rest from the position', [name for name, _, _ in listing.rest()], rest)


def rewinddir():
    """rewinddir begins anew and shows what has been made and removed since."""
    _fill(20)
    with libc.Dir() as listing:
        listing.rest()
        put('new')
        os.unlink('f00003')
        listing.rewind()
        got = [name for name, _, _ in listing.rest()]
    want = [f'f{i:05d}' for i in range(20) if i != 3]
    _exactly_once('after rewinddir', got, [*want, 'new', '.', '..'])


def end_of_a_listing_stays_the_end():
    """Reading on at the end gives the end again."""
    _fill(3)
    fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
    while libc.getdents(fd, 4096):
        pass
    equal('after the end', libc.getdents(fd, 4096), [])
    os.close(fd)


def of_a_deep_directory_by_descriptor():
    """A directory opened by openat from another one is listed as by its path."""
    os.makedirs('a/b')
    put('a/b/f')
    top = os.open('a', os.O_RDONLY | os.O_DIRECTORY)
    inner = os.open('b', os.O_RDONLY | os.O_DIRECTORY, dir_fd=top)
    equal('listing', os.listdir(inner), ['f'])
    os.close(inner)
    os.close(top)


def special_entries_in_a_listing():
    """A socket and, for root, a device are listed with their types."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind('sock')
    want = {'sock': 'sock'}
    if os.geteuid() == 0:
        try:
            os.mknod('null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
            want['null'] = 'chr'
        except PermissionError as error:
            raise Skip('device nodes may not be made here') from error
    with libc.Dir() as listing:
        got = {name: kind for name, _, kind in listing.rest() if name not in ('.', '..')}
    equal('types', got, want)
