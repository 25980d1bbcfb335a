# How long a file is: truncate, holes, offsets beyond 32 bits, limits, allocation.
# Block counts (st_blocks) are never expected: what a hole costs is the file system's affair.

import errno
import os
import resource
import signal

import libc
from kit import equal, fresh, get, pattern, put, raises, same_bytes

GIB = 1 << 30


def hole_reads_as_zeros():
    """What was never written between two writes reads as zeros."""
    fd = fresh(b'begin')
    os.pwrite(fd, b'end', 300_000)
    equal('size', os.fstat(fd).st_size, 300_003)
    same_bytes('content', os.pread(fd, 400_000, 0), b'begin' + bytes(299_995) + b'end')
    os.close(fd)


def beyond_four_gibibytes():
    """Data at 4 GiB - 3 and at 5 GiB of a sparse file is read back at those offsets."""
    fd = fresh()
    os.pwrite(fd, b'across the border', 4 * GIB - 3)
    os.pwrite(fd, b'far', 5 * GIB)
    equal('size', os.fstat(fd).st_size, 5 * GIB + 3)
    equal('across 4 GiB', os.pread(fd, 17, 4 * GIB - 3), b'across the border')
    equal('at 5 GiB', os.pread(fd, 10, 5 * GIB), b'far')
    equal('at 1 GiB', os.pread(fd, 4, GIB), bytes(4))
    equal('at 5 GiB modulo 4 GiB', os.pread(fd, 3, GIB), bytes(3))
    os.close(fd)
    equal('size by stat', os.stat('a').st_size, 5 * GIB + 3)


def beyond_eight_tebibytes():
    """An offset of more than 43 bits is kept, or refused with EFBIG."""
    fd = fresh()
    try:
        os.pwrite(fd, b'far', 9 << 40)
    except OSError as error:
        equal('errno', error.errno, errno.EFBIG)
        return
    equal('size', os.fstat(fd).st_size, (9 << 40) + 3)
    equal('read', os.pread(fd, 10, 9 << 40), b'far')
    os.close(fd)


def append_beyond_four_gibibytes():
    """A file grown by truncate to 4 GiB + 5 is appended to at its end."""
    fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    os.ftruncate(fd, 4 * GIB + 5)
    os.write(fd, b'end')
    equal('size', os.fstat(fd).st_size, 4 * GIB + 8)
    equal('end', os.pread(fd, 10, 4 * GIB + 4), b'\0end')
    os.close(fd)


def truncate_down():
    """truncate cuts, and what is cut does not come back when the file grows again."""
    put('a', pattern(20_000))
    os.truncate('a', 5_001)
    equal('size', os.stat('a').st_size, 5_001)
    same_bytes('content', get('a'), pattern(20_000)[:5_001])
    os.truncate('a', 20_000)
    same_bytes('content after growing', get('a'), pattern(20_000)[:5_001] + bytes(14_999))


def truncate_up():
    """truncate beyond the end adds zeros."""
    put('a', b'content')
    os.truncate('a', 100_000)
    equal('size', os.stat('a').st_size, 100_000)
    same_bytes('content', get('a'), b'content' + bytes(99_993))


def truncate_to_nothing_and_write_again():
    """A descriptor that wrote, truncated to 0 and wrote at the start has only the new content."""
    fd = fresh(pattern(50_000))
    os.ftruncate(fd, 0)
    os.pwrite(fd, b'new', 0)
    equal('content', os.pread(fd, 100, 0), b'new')
    os.close(fd)
    equal('content after opening again', get('a'), b'new')


def truncate_below_the_offset():
    """A write after the file was cut below the offset leaves a hole."""
    fd = fresh(b'0123456789')
    os.ftruncate(fd, 2)
    os.write(fd, b'X')
    equal('content', os.pread(fd, 100, 0), b'01' + bytes(8) + b'X')
    os.close(fd)


def truncate_seen_by_another_descriptor():
    """A file cut through one descriptor ends there for another one, also with what it has read before."""
    put('a', pattern(50_000))
    reader = os.open('a', os.O_RDONLY)
    os.pread(reader, 50_000, 0)
    writer = os.open('a', os.O_RDWR)
    os.ftruncate(writer, 10_000)
    same_bytes('read by the other', os.pread(reader, 60_000, 0), pattern(50_000)[:10_000])
    os.ftruncate(writer, 20_000)
    same_bytes('after growing', os.pread(reader, 60_000, 0), pattern(50_000)[:10_000] + bytes(10_000))
    os.close(reader)
    os.close(writer)


def truncate_to_its_own_size():
    """truncate to the present size leaves the content."""
    put('a', b'content')
    os.truncate('a', 7)
    equal('content', get('a'), b'content')


def truncate_refusals():
    """EINVAL for a negative length, ENOENT for a missing name, EINVAL or EBADF for a read-only descriptor."""
    put('a', b'content')
    raises(errno.EINVAL, os.truncate, 'a', -1)
    raises(errno.ENOENT, os.truncate, 'missing', 0)
    fd = os.open('a', os.O_RDWR)
    raises(errno.EINVAL, os.ftruncate, fd, -1)
    os.close(fd)
    fd = os.open('a', os.O_RDONLY)
    raises((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 0)
    os.close(fd)
    equal('content', get('a'), b'content')


def file_size_limit():
    """A write beyond RLIMIT_FSIZE says EFBIG (with SIGXFSZ ignored)."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    fd = fresh(b'x' * 10_000)
    raises(errno.EFBIG, os.write, fd, b'x')
    equal('size', os.fstat(fd).st_size, 10_000)
    os.close(fd)


def fallocate():
    """fallocate grows the file with zeros and keeps its content; or EOPNOTSUPP."""
    fd = fresh(b'content')
    try:
        libc.fallocate(fd, 0, 0, 100_000)
    except OSError as error:
        equal('errno', error.errno, errno.EOPNOTSUPP)
        return
    equal('size', os.fstat(fd).st_size, 100_000)
    same_bytes('content', os.pread(fd, 200_000, 0), b'content' + bytes(99_993))
    os.close(fd)


def fallocate_keeping_the_size():
    """FALLOC_FL_KEEP_SIZE changes neither size nor content; or EOPNOTSUPP."""
    fd = fresh(b'content')
    try:
        libc.fallocate(fd, libc.FALLOC_FL_KEEP_SIZE, 0, 100_000)
    except OSError as error:
        equal('errno', error.errno, errno.EOPNOTSUPP)
    equal('content', os.pread(fd, 100, 0), b'content')
    equal('size', os.fstat(fd).st_size, 7)
    os.close(fd)


def punch_hole():
    """FALLOC_FL_PUNCH_HOLE makes zeros and keeps the size; or EOPNOTSUPP."""
    data = pattern(100_000)
    fd = fresh(data)
    try:
        libc.fallocate(fd, libc.FALLOC_FL_PUNCH_HOLE | libc.FALLOC_FL_KEEP_SIZE, 10_000, 50_000)
    except OSError as error:
        equal('errno', error.errno, errno.EOPNOTSUPP)
        same_bytes('content', os.pread(fd, 200_000, 0), data)
        return
    same_bytes('content', os.pread(fd, 200_000, 0), data[:10_000] + bytes(50_000) + data[60_000:])
    os.close(fd)


def posix_fallocate():
    """posix_fallocate makes the file as long as asked and keeps its content (zeros are written where they must be)."""
    fd = fresh(b'content')
    os.posix_fallocate(fd, 0, 50_000)
    equal('size', os.fstat(fd).st_size, 50_000)
    same_bytes('content', os.pread(fd, 60_000, 0), b'content' + bytes(49_993))
    os.close(fd)
