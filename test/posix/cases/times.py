# utimensat(2) and the stamps that other calls leave. atime is set and read back here, never expected to move by
# itself: mounts differ in that for good reasons (noatime, relatime).

import errno
import os

import libc
from kit import check, equal, near_now, put, raises, tick

OLD = 1_000_000_000_123_456_789


def _stamps(path, follow=True):
    st = os.stat(path, follow_symlinks=follow)
    return (st.st_atime_ns, st.st_mtime_ns)


def _aged(path='a'):
    """A file whose times are long ago."""
    put(path, b'content')
    libc.utimensat(path, OLD, OLD)


def nanoseconds():
    """Both times are kept to the nanosecond."""
    put('a')
    libc.utimensat('a', 1_234_567_890_123_456_789, 987_654_321_000_000_001)
    equal('times', _stamps('a'), (1_234_567_890_123_456_789, 987_654_321_000_000_001))


def extremes_of_nanoseconds():
    """0 and 999,999,999 nanoseconds are kept."""
    put('a')
    libc.utimensat('a', 10**18, 10**18 + 999_999_999)
    equal('times', _stamps('a'), (10**18, 10**18 + 999_999_999))


def now():
    """UTIME_NOW sets the time of the file system's clock."""
    _aged()
    libc.utimensat('a', libc.NOW, libc.NOW)
    atime, mtime = _stamps('a')
    near_now('atime', atime)
    near_now('mtime', mtime)


def omit():
    """UTIME_OMIT leaves one of the times alone."""
    _aged()
    libc.utimensat('a', libc.OMIT, 2 * 10**18)
    equal('times', _stamps('a'), (OLD, 2 * 10**18))
    libc.utimensat('a', 3 * 10**17, libc.OMIT)
    equal('times', _stamps('a'), (3 * 10**17, 2 * 10**18))


def omit_both():
    """Two times UTIME_OMIT changes nothing."""
    _aged()
    libc.utimensat('a', libc.OMIT, libc.OMIT)
    equal('times', _stamps('a'), (OLD, OLD))


def now_and_omit():
    """NOW for one and OMIT for the other."""
    _aged()
    libc.utimensat('a', libc.NOW, libc.OMIT)
    atime, mtime = _stamps('a')
    near_now('atime', atime)
    equal('mtime', mtime, OLD)
    _aged('b')
    libc.utimensat('b', libc.OMIT, libc.NOW)
    atime, mtime = _stamps('b')
    equal('atime', atime, OLD)
    near_now('mtime', mtime)


def now_and_a_time():
    """NOW for one and a given time for the other."""
    _aged()
    libc.utimensat('a', libc.NOW, 5 * 10**17)
    atime, mtime = _stamps('a')
    near_now('atime', atime)
    equal('mtime', mtime, 5 * 10**17)


def null():
    """utime without times means now."""
    _aged()
    os.utime('a')
    near_now('mtime', _stamps('a')[1])


def before_1970():
    """Times before 1970 are kept, with nanoseconds."""
    put('a')
    libc.utimensat('a', -86_400_000_000_000, -1)
    equal('times', _stamps('a'), (-86_400_000_000_000, -1))


def zero():
    """The very beginning, 1970-01-01 00:00:00, is a time like any other."""
    put('a', b'content')
    libc.utimensat('a', 0, 0)
    equal('times', _stamps('a'), (0, 0))


def after_2038():
    """Times beyond 31 bits are kept."""
    put('a')
    libc.utimensat('a', (1 << 31) * 10**9, 4_102_444_800_000_000_000)  # 2038-01-19, 2100-01-01
    equal('times', _stamps('a'), ((1 << 31) * 10**9, 4_102_444_800_000_000_000))


def bad_nanoseconds():
    """EINVAL for nanoseconds of 1,000,000,000 and more."""
    put('a')
    raises(errno.EINVAL, libc.utimensat, 'a', (1_000_000_000,), (1_000_000_000,))


def by_descriptor():
    """futimens works through a descriptor opened for reading."""
    put('a')
    fd = os.open('a', os.O_RDONLY)
    libc.futimens(fd, OLD, OLD + 1)
    os.close(fd)
    equal('times', _stamps('a'), (OLD, OLD + 1))


def by_descriptor_survive_close():
    """Times that were set through the descriptor that wrote are still there after close (as tar and cp -p need)."""
    fd = os.open('a', os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b'x' * 100_000)
    libc.futimens(fd, OLD, OLD + 1)
    os.close(fd)
    equal('times', _stamps('a'), (OLD, OLD + 1))


def of_a_symlink():
    """AT_SYMLINK_NOFOLLOW sets the times of the link, not of its target."""
    _aged('target')
    os.symlink('target', 's')
    libc.utimensat('s', 2 * 10**18, 2 * 10**18, follow=False)
    equal('mtime of the link', _stamps('s', follow=False)[1], 2 * 10**18)
    equal('times of the target', _stamps('target'), (OLD, OLD))
    libc.utimensat('s', 10**18, 10**18)
    equal('times of the target through the link', _stamps('target'), (10**18, 10**18))


def of_a_directory():
    """A directory takes times, and loses them when an entry is made."""
    os.mkdir('d')
    libc.utimensat('d', OLD, OLD)
    equal('times', _stamps('d'), (OLD, OLD))
    put('d/f')
    near_now('mtime after a new entry', _stamps('d')[1])


def ctime_of_utimensat():
    """Setting times gives a new ctime."""
    put('a')
    before = os.stat('a').st_ctime_ns
    tick()
    libc.utimensat('a', OLD, OLD)
    check(os.stat('a').st_ctime_ns > before, f'ctime did not advance from {before}')


def of_a_new_file():
    """A new file, directory, symlink and fifo have the present as their times."""
    put('f')
    os.mkdir('d')
    os.symlink('x', 's')
    os.mkfifo('p')
    for name in 'fdsp':
        st = os.lstat(name)
        for what in ('atime', 'mtime', 'ctime'):
            near_now(f'{what} of {name}', getattr(st, f'st_{what}_ns'))


def mtime_of_a_write():
    """A write moves mtime and ctime."""
    _aged()
    before = os.stat('a').st_ctime_ns
    tick()
    fd = os.open('a', os.O_WRONLY)
    os.write(fd, b'x')
    os.close(fd)
    st = os.stat('a')
    near_now('mtime', st.st_mtime_ns)
    check(st.st_ctime_ns > before, f'ctime did not advance from {before}')


def mtime_of_a_write_before_close():
    """The new mtime shows while the writing descriptor is still open."""
    _aged()
    fd = os.open('a', os.O_WRONLY)
    os.write(fd, b'x')
    near_now('mtime by fstat', os.fstat(fd).st_mtime_ns)
    near_now('mtime by stat', os.stat('a').st_mtime_ns)
    os.close(fd)


def mtime_of_two_writes():
    """Each of two writes moves mtime on."""
    put('a')
    fd = os.open('a', os.O_WRONLY)
    os.write(fd, b'x')
    first = os.fstat(fd).st_mtime_ns
    tick()
    os.write(fd, b'y')
    second = os.fstat(fd).st_mtime_ns
    os.close(fd)
    check(second > first, f'mtime stayed at {first}')


def mtime_of_truncate():
    """truncate, ftruncate and O_TRUNC move mtime."""
    _aged()
    os.truncate('a', 3)
    near_now('mtime after truncate', _stamps('a')[1])
    _aged()
    fd = os.open('a', os.O_RDWR)
    os.ftruncate(fd, 3)
    near_now('mtime after ftruncate', _stamps('a')[1])
    os.close(fd)
    _aged()
    os.close(os.open('a', os.O_WRONLY | os.O_TRUNC))
    near_now('mtime after O_TRUNC', _stamps('a')[1])


def mtime_of_a_read():
    """Reading, opening and stat leave mtime and ctime alone."""
    _aged()
    before = os.stat('a')
    tick()
    fd = os.open('a', os.O_RDWR)
    os.read(fd, 100)
    os.close(fd)
    after = os.stat('a')
    equal('mtime', after.st_mtime_ns, before.st_mtime_ns)
    equal('ctime', after.st_ctime_ns, before.st_ctime_ns)


def mtime_in_order():
    """Files written one after the other have mtimes in that order (as make needs)."""
    last = 0
    for i in range(5):
        put(f'f{i}', b'x')
        stamp = os.stat(f'f{i}').st_mtime_ns
        check(stamp > last, f'mtime of f{i} is {stamp}, of the one before it {last}')
        last = stamp
        tick()
