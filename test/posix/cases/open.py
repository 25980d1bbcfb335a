# open(2): every flag that a file system has to do with, and who wins when several come at once.

import errno
import os
import stat

from kit import NOBODY, Peer, as_user, check, equal, get, in_child, names, needs, open_close, put, raises, same_mode


def excl_on_a_new_name():
    """O_CREAT|O_EXCL makes the file, empty and writable."""
    fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    equal('size', os.fstat(fd).st_size, 0)
    os.write(fd, b'content')
    os.close(fd)
    equal('content', get('a'), b'content')


def excl_on_an_existing_name():
    """O_CREAT|O_EXCL says EEXIST for a file, a directory and a fifo, and touches nothing."""
    put('f', b'content')
    os.mkdir('d')
    os.mkfifo('p')
    for name in ('f', 'd', 'p'):
        raises(errno.EEXIST, os.open, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    raises(errno.EEXIST, os.open, 'f', os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_TRUNC, 0o644)
    equal('content', get('f'), b'content')


def excl_on_a_symlink():
    """O_CREAT|O_EXCL does not follow: EEXIST for a dangling link and for one that leads somewhere."""
    put('f')
    os.symlink('f', 's')
    os.symlink('target', 'dangling')
    raises(errno.EEXIST, os.open, 's', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    raises(errno.EEXIST, os.open, 'dangling', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    equal('names', names(), ['dangling', 'f', 's'])


def excl_race():
    """Of four processes that make one name with O_EXCL exactly one succeeds, time after time."""
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
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        return True
    except FileExistsError:
        return False


def create_on_an_existing_name():
    """O_CREAT without O_EXCL opens what is there and changes neither mode nor content."""
    put('a', b'content', mode=0o640)
    fd = os.open('a', os.O_RDWR | os.O_CREAT, 0o777)
    equal('content', os.read(fd, 100), b'content')
    os.close(fd)
    same_mode('a', 0o640)


def create_without_permission_bits():
    """A file made with mode 0 is usable through the descriptor that made it."""
    fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0)
    equal('written', os.write(fd, b'content'), 7)
    equal('read', os.pread(fd, 100, 0), b'content')
    os.close(fd)
    same_mode('a', 0)


@needs('multiuser')
def create_without_permission_bits_as_a_user():
    """The same for a user whom the mode would refuse: the check was made at the open."""
    os.chmod('.', 0o777)
    as_user(NOBODY, _write_with_mode, 0)
    as_user(NOBODY, raises, errno.EACCES, os.open, 'made', os.O_RDONLY)
    equal('content', get('made'), b'content')


@needs('multiuser')
def create_read_only_as_a_user():
    """A file made with mode 0444 can be written through the descriptor that made it (as git does)."""
    os.chmod('.', 0o777)
    as_user(NOBODY, _write_with_mode, 0o444)
    as_user(NOBODY, raises, errno.EACCES, os.open, 'made', os.O_WRONLY)
    equal('content', get('made'), b'content')


def _write_with_mode(mode):
    fd = os.open('made', os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    equal('written', os.write(fd, b'content'), 7)
    equal('read', os.pread(fd, 100, 0), b'content')
    os.close(fd)


def create_owner():
    """A new file, directory and symlink belong to the one who made them."""
    put('f')
    os.mkdir('d')
    os.symlink('x', 's')
    for name in 'fds':
        st = os.lstat(name)
        equal(f'owner of {name}', (st.st_uid, st.st_gid), (os.geteuid(), os.getegid()))


@needs('multiuser')
def create_owner_as_a_user():
    """The same for an ordinary user, with the group of the process."""
    os.chmod('.', 0o777)
    as_user(NOBODY, create_owner)


def trunc():
    """O_TRUNC empties the file at the open and moves its mtime."""
    put('a', b'content')
    os.utime('a', ns=(10**18, 10**18))
    fd = os.open('a', os.O_RDWR | os.O_TRUNC)
    equal('size', os.fstat(fd).st_size, 0)
    check(os.fstat(fd).st_mtime_ns != 10**18, 'mtime is still the old one')
    equal('read', os.read(fd, 10), b'')
    os.write(fd, b'new')
    os.close(fd)
    equal('content', get('a'), b'new')


def trunc_seen_by_others():
    """A descriptor that was open before sees the file emptied by another process."""
    put('a', b'content')
    fd = os.open('a', os.O_RDONLY)
    equal('before', os.pread(fd, 100, 0), b'content')
    with Peer() as other:
        other.do(open_close, 'a', os.O_WRONLY | os.O_TRUNC)
    equal('size', os.fstat(fd).st_size, 0)
    equal('after', os.pread(fd, 100, 0), b'')
    os.close(fd)


def trunc_and_create():
    """O_CREAT|O_TRUNC makes a missing file and empties an existing one without changing its inode."""
    put('a', b'content')
    ino = os.stat('a').st_ino
    put('a', b'')
    equal('size', os.stat('a').st_size, 0)
    equal('inode', os.stat('a').st_ino, ino)


def append_ignores_the_offset():
    """With O_APPEND every write goes to the end, wherever the offset is."""
    put('a', b'0123456789')
    fd = os.open('a', os.O_RDWR | os.O_APPEND)
    os.lseek(fd, 2, os.SEEK_SET)
    os.write(fd, b'END')
    equal('offset after the write', os.lseek(fd, 0, os.SEEK_CUR), 13)
    os.close(fd)
    equal('content', get('a'), b'0123456789END')


def append_after_truncate():
    """O_APPEND writes at the end that the file has now, not where it was."""
    put('a', b'0123456789')
    fd = os.open('a', os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'x')
    os.truncate('a', 3)
    os.write(fd, b'y')
    os.close(fd)
    equal('content', get('a'), b'012y')


def append_from_two_processes_in_turn():
    """Two processes that append in turn through their own descriptors lose no line."""
    with Peer() as one, Peer() as two:
        peers = [(p, p.do(os.open, 'log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)) for p in (one, two)]
        want = []
        for turn in range(100):
            peer, fd = peers[turn % 2]
            line = f'line {turn} {"x" * (turn % 37)}\n'.encode()
            equal('written', peer.do(os.write, fd, line), len(line))
            want.append(line)
    equal('content', get('log'), b''.join(want))


def append_from_two_processes_at_once():
    """Two processes of one machine that append at the same time lose no line and break none."""
    with Peer() as one, Peer() as two:
        one.start(_append_lines, 'one', 200)
        two.start(_append_lines, 'two', 200)
        one.finish()
        two.finish()
    lines = get('log').decode().splitlines()
    want = [f'{who} {i}' for who in ('one', 'two') for i in range(200)]
    equal('lines', sorted(lines), sorted(want))
    for who in ('one', 'two'):
        own = [line for line in lines if line.startswith(who)]
        equal(f'order of the lines of {who}', own, [f'{who} {i}' for i in range(200)])


def _append_lines(who, count):
    fd = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for i in range(count):
        os.write(fd, f'{who} {i}\n'.encode())
    os.close(fd)


def directory_flag():
    """O_DIRECTORY opens a directory and says ENOTDIR for a file."""
    put('f')
    os.mkdir('d')
    os.symlink('f', 's')
    raises(errno.ENOTDIR, os.open, 'f', os.O_RDONLY | os.O_DIRECTORY)
    raises(errno.ENOTDIR, os.open, 's', os.O_RDONLY | os.O_DIRECTORY)
    open_close('d', os.O_RDONLY | os.O_DIRECTORY)


def nofollow():
    """O_NOFOLLOW says ELOOP for a symlink as the last component, and only there."""
    os.mkdir('d')
    put('d/f', b'content')
    os.symlink('d/f', 's')
    os.symlink('d', 'sd')
    raises(errno.ELOOP, os.open, 's', os.O_RDONLY | os.O_NOFOLLOW)
    fd = os.open('sd/f', os.O_RDONLY | os.O_NOFOLLOW)
    equal('content', os.read(fd, 100), b'content')
    os.close(fd)


def directory_for_writing():
    """EISDIR for a directory opened for writing, created or truncated."""
    os.mkdir('d')
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY | os.O_CREAT):
        raises(errno.EISDIR, os.open, 'd', flags)


def directory_read():
    """read(2) of a directory says EISDIR."""
    os.mkdir('d')
    fd = os.open('d', os.O_RDONLY)
    raises(errno.EISDIR, os.read, fd, 100)
    os.close(fd)


def write_to_a_read_only_descriptor():
    """EBADF, and the other way round."""
    put('a', b'content')
    fd = os.open('a', os.O_RDONLY)
    raises(errno.EBADF, os.write, fd, b'x')
    raises((errno.EBADF, errno.EINVAL), os.ftruncate, fd, 0)
    os.close(fd)
    fd = os.open('a', os.O_WRONLY)
    raises(errno.EBADF, os.read, fd, 1)
    os.close(fd)
    equal('content', get('a'), b'content')


def path_descriptor():
    """O_PATH: fstat and openat work, read says EBADF."""
    os.mkdir('d')
    put('d/f', b'content')
    fd = os.open('d', os.O_PATH)
    check(stat.S_ISDIR(os.fstat(fd).st_mode), 'fstat does not show a directory')
    inner = os.open('f', os.O_RDONLY, dir_fd=fd)
    equal('content', os.read(inner, 100), b'content')
    os.close(inner)
    file = os.open('d/f', os.O_PATH)
    raises(errno.EBADF, os.read, file, 1)
    equal('size', os.fstat(file).st_size, 7)
    os.close(file)
    os.close(fd)


def tmpfile():
    """O_TMPFILE gives a file without a name; or the file system says that it has none."""
    try:
        fd = os.open('.', os.O_RDWR | os.O_TMPFILE, 0o600)
    except OSError as error:
        check(error.errno in (errno.EOPNOTSUPP, errno.EISDIR), f'expected EOPNOTSUPP or EISDIR, got {error}')
        return
    os.write(fd, b'content')
    equal('names', names(), [])
    equal('content', os.pread(fd, 100, 0), b'content')
    equal('link count', os.fstat(fd).st_nlink, 0)
    os.link(f'/proc/self/fd/{fd}', 'named', src_dir_fd=os.open('/', os.O_PATH), follow_symlinks=True)
    os.close(fd)
    equal('content under the name', get('named'), b'content')


def five_hundred_files():
    """Five hundred files open at once, each with its own content and offset."""
    fds = []
    for i in range(500):
        fd = os.open(f'f{i}', os.O_RDWR | os.O_CREAT, 0o644)
        os.write(fd, b'%d' % i)
        fds.append(fd)
    for i, fd in enumerate(fds):
        equal(f'content of f{i}', os.pread(fd, 100, 0), b'%d' % i)
    for fd in fds:
        os.close(fd)
    equal('number of names', len(names()), 500)


def one_file_a_hundred_times():
    """A hundred descriptors on one file see every write of each other."""
    fds = [os.open('a', os.O_RDWR | os.O_CREAT, 0o644) for _ in range(100)]
    for i, fd in enumerate(fds):
        os.pwrite(fd, b'%03d' % i, 3 * i)
        equal(f'read back through descriptor {99 - i}', os.pread(fds[99 - i], 3, 3 * i), b'%03d' % i)
    for fd in fds:
        os.close(fd)
    equal('content', get('a'), b''.join(b'%03d' % i for i in range(100)))


def dup_shares_the_offset():
    """Descriptors from dup have one offset, and closing one leaves the other."""
    put('a', b'0123456789')
    one = os.open('a', os.O_RDWR)
    two = os.dup(one)
    equal('first read', os.read(one, 3), b'012')
    equal('read through the dup', os.read(two, 3), b'345')
    os.close(one)
    equal('read after the close', os.read(two, 3), b'678')
    os.write(two, b'X')
    os.close(two)
    equal('content', get('a'), b'012345678X')


def inherited_descriptor():
    """A child that inherited a descriptor goes on where the parent was, and the parent after the child."""
    put('a', b'0123456789')
    fd = os.open('a', os.O_RDWR)
    os.read(fd, 2)
    equal('read by the child', in_child(os.read, fd, 3), b'234')
    equal('read by the parent after it', os.read(fd, 2), b'56')
    os.close(fd)


def a_descriptor_keeps_the_rights_it_was_opened_with():
    """A write goes through although the file became read-only after the open."""
    put('a', b'content')
    fd = os.open('a', os.O_RDWR)
    os.fchmod(fd, 0o000)
    os.pwrite(fd, b'C', 0)
    equal('content', os.pread(fd, 100, 0), b'Content')
    os.close(fd)


@needs('multiuser')
def a_descriptor_keeps_the_rights_it_was_opened_with_as_a_user():
    """The same for a user whom the new mode refuses."""
    os.chmod('.', 0o777)
    as_user(NOBODY, a_descriptor_keeps_the_rights_it_was_opened_with)
