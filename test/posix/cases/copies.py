# Calls that move data inside the kernel: copy_file_range, sendfile, splice.

import errno
import os
import socket

from kit import Skip, check, equal, fresh, get, pattern, put, same_bytes


def copy_file_range():
    """copy_file_range between two files, until all is copied, gives the same content."""
    data = pattern(3_000_001)
    put('a', data)
    source = os.open('a', os.O_RDONLY)
    target = os.open('b', os.O_WRONLY | os.O_CREAT, 0o644)
    left = len(data)
    while left:
        try:
            done = os.copy_file_range(source, target, left)
        except OSError as error:
            # Programs fall back to reading and writing on exactly these.
            check(
                error.errno in (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL),
                f'copy_file_range refused with {error}',
            )
            raise Skip(f'copy_file_range is not to be had here ({error.strerror})') from None
        check(done > 0, f'copy_file_range stopped {left} bytes before the end')
        left -= done
    os.close(source)
    os.close(target)
    same_bytes('copy', get('b'), data)


def copy_file_range_at_offsets():
    """copy_file_range of a part within one file at given offsets."""
    data = pattern(200_000)
    fd = fresh(data)
    left, at = 50_000, 0
    while left:
        try:
            done = os.copy_file_range(fd, fd, left, 10_000 + at, 300_000 + at)
        except OSError as error:
            raise Skip(f'copy_file_range is not to be had here ({error.strerror})') from None
        check(done > 0, 'copy_file_range stopped before the end')
        left, at = left - done, at + done
    equal('size', os.fstat(fd).st_size, 350_000)
    same_bytes('copied part', os.pread(fd, 50_000, 300_000), data[10_000:60_000])
    same_bytes('gap', os.pread(fd, 100_000, 200_000), bytes(100_000))
    os.close(fd)


def sendfile_to_a_socket():
    """sendfile from the file to a socket sends the content."""
    data = pattern(150_000)
    put('a', data)
    fd = os.open('a', os.O_RDONLY)
    one, two = socket.socketpair()
    two.settimeout(20)
    got, at = b'', 0
    while at < len(data):
        at += os.sendfile(one.fileno(), fd, at, 10_000)
        while len(got) < at:
            got += two.recv(65536)
    same_bytes('received', got, data)
    one.close()
    two.close()
    os.close(fd)


def sendfile_to_a_file():
    """sendfile from one file to another copies it."""
    data = pattern(1_000_003)
    put('a', data)
    source = os.open('a', os.O_RDONLY)
    target = os.open('b', os.O_WRONLY | os.O_CREAT, 0o644)
    at = 0
    while at < len(data):
        done = os.sendfile(target, source, at, len(data) - at)
        check(done > 0, f'sendfile stopped at {at}')
        at += done
    os.close(target)
    os.close(source)
    same_bytes('copy', get('b'), data)


def splice_through_a_pipe():
    """splice from a file to a pipe and from the pipe to another file copies it."""
    data = pattern(300_001)
    put('a', data)
    source = os.open('a', os.O_RDONLY)
    target = os.open('b', os.O_WRONLY | os.O_CREAT, 0o644)
    reader, writer = os.pipe()
    while taken := os.splice(source, writer, 65536):
        while taken:
            taken -= os.splice(reader, target, taken)
    for fd in (source, target, reader, writer):
        os.close(fd)
    same_bytes('copy', get('b'), data)
