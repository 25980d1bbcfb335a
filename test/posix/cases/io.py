# read and write: offsets, ends, parts, vectors, what one writer's data is for another reader, syncs.

import errno
import mmap
import os
import random

from kit import Peer, check, equal, fresh, get, pattern, put, raises, read_all, same_bytes, write_all


def read_in_parts():
    """Reads of odd sizes put together are the content."""
    data = pattern(100_003)
    put('a', data)
    fd = os.open('a', os.O_RDONLY)
    parts, size = [], 1
    while part := os.read(fd, size):
        parts.append(part)
        size = size * 3 + 1 if size < 30_000 else 7
    same_bytes('content', b''.join(parts), data)
    os.close(fd)


def read_at_the_end():
    """A read at and beyond the end gives nothing, across the end what there is."""
    fd = fresh(b'0123456789')
    equal('at the end', os.pread(fd, 10, 10), b'')
    equal('beyond', os.pread(fd, 10, 1000), b'')
    equal('far beyond', os.pread(fd, 10, 1 << 40), b'')
    equal('across', os.pread(fd, 100, 7), b'789')
    equal('of zero bytes', os.pread(fd, 0, 0), b'')
    os.close(fd)


def read_of_an_empty_file():
    """An empty file is at its end at once."""
    fd = fresh()
    equal('read', os.read(fd, 100), b'')
    os.write(fd, b'x')
    equal('read after a write', os.pread(fd, 100, 0), b'x')
    os.close(fd)


def read_whole_at_once():
    """One read for more than the file holds gives all of it (programs rely on no short read before the end)."""
    data = pattern(3_000_001)
    put('a', data)
    fd = os.open('a', os.O_RDONLY)
    same_bytes('one read of 4 MiB', os.read(fd, 4 << 20), data)
    os.close(fd)


def write_eight_mebibytes():
    """One write of 8 MiB is taken whole and read back the same."""
    data = pattern(8 << 20)
    fd = fresh()
    equal('written', os.write(fd, data), len(data))
    equal('size', os.fstat(fd).st_size, len(data))
    same_bytes('read back', os.pread(fd, len(data), 0), data)
    os.close(fd)
    same_bytes('read after opening again', get('a'), data)


def write_in_parts():
    """Writes of odd sizes put together are the content."""
    data = pattern(200_007)
    fd = os.open('a', os.O_WRONLY | os.O_CREAT, 0o644)
    at, size = 0, 1
    while at < len(data):
        at += os.write(fd, data[at : at + size])
        size = size * 5 % 20_011 + 1
    os.close(fd)
    same_bytes('content', get('a'), data)


def write_over_the_middle():
    """A write in the middle changes those bytes and no others."""
    data = bytearray(pattern(100_000))
    fd = fresh(data)
    for at, length in ((0, 1), (4095, 2), (50_000, 10_000), (99_999, 1)):
        os.pwrite(fd, b'\xee' * length, at)
        data[at : at + length] = b'\xee' * length
    same_bytes('content', os.pread(fd, 200_000, 0), bytes(data))
    os.close(fd)


def write_backwards():
    """A file written from its end to its beginning is whole."""
    data = pattern(160_000)
    fd = fresh()
    for at in range(len(data) - 10_000, -1, -10_000):
        os.pwrite(fd, data[at : at + 10_000], at)
    same_bytes('content', os.pread(fd, 200_000, 0), data)
    os.close(fd)


def write_of_nothing():
    """A write of no bytes says 0 and changes nothing, beyond the end too."""
    fd = fresh(b'content')
    equal('written', os.pwrite(fd, b'', 1000), 0)
    equal('size', os.fstat(fd).st_size, 7)
    os.close(fd)


def write_read_by_another_descriptor():
    """What one descriptor wrote another one reads at once."""
    writer = os.open('a', os.O_WRONLY | os.O_CREAT, 0o644)
    reader = os.open('a', os.O_RDONLY)
    total = b''
    for i in range(20):
        part = pattern(1000 + i * 997, seed=i)
        os.write(writer, part)
        total += part
        same_bytes(f'read after write {i}', os.pread(reader, len(total) + 10, 0), total)
    os.close(writer)
    os.close(reader)


def write_read_by_another_process():
    """Close-to-open: what a process wrote and closed another one reads that opens afterwards, both ways."""
    with Peer() as other:
        for i in range(10):
            data = pattern(5000 + i, seed=i)
            put('a', data)
            same_bytes('read by the other', other.do(get, 'a'), data)
            answer = pattern(3000 + i, seed=100 + i)
            other.do(put, 'a', answer)
            same_bytes('read by this one', get('a'), answer)


def write_same_size_by_another_process():
    """The same when neither the size changes nor a second passes (only the content tells)."""
    with Peer() as other:
        for i in range(10):
            put('a', b'a%04d' % i)
            equal('read by the other', other.do(get, 'a'), b'a%04d' % i)
            other.do(put, 'a', b'b%04d' % i)
            equal('read by this one', get('a'), b'b%04d' % i)


def writes_of_two_processes_to_two_halves():
    """Two processes that write different parts of one file at once both find theirs."""
    half = 1 << 20
    put('a')
    with Peer() as one, Peer() as two:
        one.start(_write_part, 0, half)
        two.start(_write_part, half, half)
        one.finish()
        two.finish()
    same_bytes('first half', get('a')[:half], pattern(half, seed=0))
    same_bytes('second half', get('a')[half:], pattern(half, seed=half))


def _write_part(start, length):
    data = pattern(length, seed=start)
    fd = os.open('a', os.O_WRONLY)
    for at in range(0, length, 10_000):
        os.pwrite(fd, data[at : at + 10_000], start + at)
    os.close(fd)


def pread_leaves_the_offset():
    """pread and pwrite do not move the offset."""
    fd = fresh(b'0123456789')
    os.lseek(fd, 3, os.SEEK_SET)
    os.pread(fd, 4, 6)
    os.pwrite(fd, b'X', 9)
    equal('offset', os.lseek(fd, 0, os.SEEK_CUR), 3)
    equal('read', os.read(fd, 100), b'345678X')
    os.close(fd)


def vectors():
    """readv, writev, preadv and pwritev put the parts together in order."""
    fd = fresh()
    parts = [b'one', b'', b'two' * 5000, b'3']
    equal('writev', os.writev(fd, parts), sum(map(len, parts)))
    os.lseek(fd, 0, os.SEEK_SET)
    into = [bytearray(2), bytearray(15_000), bytearray(100)]
    equal('readv', os.readv(fd, into), 15_004)
    same_bytes('content', b''.join(into)[:15_004], b''.join(parts))
    equal('pwritev', os.pwritev(fd, [b'ab', b'cd'], 1), 4)
    equal('preadv', os.preadv(fd, [bytearray(1), bytearray(5)], 0), 6)
    equal('content', os.pread(fd, 6, 0), b'oabcdo')
    os.close(fd)


def seek():
    """lseek from the start, the offset and the end; beyond the end is fine, before the start EINVAL."""
    fd = fresh(b'0123456789')
    equal('SEEK_END', os.lseek(fd, 0, os.SEEK_END), 10)
    equal('SEEK_END -3', os.lseek(fd, -3, os.SEEK_END), 7)
    equal('SEEK_CUR +1', os.lseek(fd, 1, os.SEEK_CUR), 8)
    equal('read', os.read(fd, 1), b'8')
    equal('beyond', os.lseek(fd, 100, os.SEEK_SET), 100)
    equal('read beyond', os.read(fd, 1), b'')
    raises(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)
    raises(errno.EINVAL, os.lseek, fd, -11, os.SEEK_END)
    os.close(fd)


def seek_data_and_hole():
    """From SEEK_DATA to SEEK_HOLE and on, all that was written is met, whether the holes are known or not."""
    fd = fresh()
    written = {100_000: pattern(5000), 3_000_000: pattern(70_000), 9_000_000: b'x'}
    for at, data in written.items():
        os.pwrite(fd, data, at)
    size = 9_000_001
    content = bytearray(size)
    at = 0
    while at < size:
        start = os.lseek(fd, at, os.SEEK_DATA)
        end = os.lseek(fd, start, os.SEEK_HOLE)
        check(at <= start < end <= size, f'data from {start} to {end}, looked for from {at} on in {size} bytes')
        content[start:end] = os.pread(fd, end - start, start)
        at = end
    want = bytearray(size)
    for offset, data in written.items():
        want[offset : offset + len(data)] = data
    same_bytes('content', bytes(content), bytes(want))
    os.close(fd)


def seek_data_and_hole_at_the_end():
    """The end is a hole; SEEK_DATA and SEEK_HOLE beyond it say ENXIO."""
    fd = fresh(b'content')
    equal('SEEK_HOLE', os.lseek(fd, 3, os.SEEK_HOLE), 7)
    equal('SEEK_DATA', os.lseek(fd, 3, os.SEEK_DATA), 3)
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        raises(errno.ENXIO, os.lseek, fd, 7, whence)
        raises(errno.ENXIO, os.lseek, fd, 100, whence)
    os.close(fd)


def seek_end_sees_other_writers():
    """SEEK_END goes by the size that the file has now."""
    put('a', b'12345')
    fd = os.open('a', os.O_RDONLY)
    equal('before', os.lseek(fd, 0, os.SEEK_END), 5)
    with Peer() as other:
        other.do(put, 'a', b'1234567890')
    equal('after', os.lseek(fd, 0, os.SEEK_END), 10)
    os.close(fd)


def seek_data_and_hole():
    """SEEK_DATA and SEEK_HOLE never hide data: exact, or the whole file as data with a hole at its end."""
    fd = fresh()
    os.pwrite(fd, b'x' * 65536, 1 << 20)
    size = os.fstat(fd).st_size
    data = os.lseek(fd, 0, os.SEEK_DATA)
    check(0 <= data <= 1 << 20, f'SEEK_DATA from 0 says {data}, though data begins at {1 << 20}')
    inside = os.lseek(fd, (1 << 20) + 100, os.SEEK_DATA)
    equal('SEEK_DATA inside data', inside, (1 << 20) + 100)
    equal('SEEK_HOLE inside the last data', os.lseek(fd, (1 << 20) + 100, os.SEEK_HOLE), size)
    hole = os.lseek(fd, 0, os.SEEK_HOLE)
    check(hole in (0, size), f'SEEK_HOLE from 0 says {hole}, expected 0 or {size}')
    raises(errno.ENXIO, os.lseek, fd, size, os.SEEK_DATA)
    raises(errno.ENXIO, os.lseek, fd, size + 1, os.SEEK_HOLE)
    os.close(fd)


def fsync():
    """fsync and fdatasync work, for a descriptor open for reading too."""
    fd = fresh(b'content')
    os.fsync(fd)
    os.pwrite(fd, b'more', 7)
    os.fdatasync(fd)
    os.close(fd)
    fd = os.open('a', os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    equal('content', get('a'), b'contentmore')


def o_sync():
    """O_SYNC and O_DSYNC write as others do."""
    for flag in (os.O_SYNC, os.O_DSYNC):
        fd = os.open('a', os.O_RDWR | os.O_CREAT | flag, 0o644)
        write_all(fd, pattern(100_000))
        same_bytes('content', os.pread(fd, 200_000, 0), pattern(100_000))
        os.close(fd)
        os.unlink('a')


def o_direct():
    """O_DIRECT with aligned buffers reads and writes the same data, or EINVAL at the open."""
    try:
        fd = os.open('a', os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    except OSError as error:
        equal('errno', error.errno, errno.EINVAL)
        return
    block = 65536
    with mmap.mmap(-1, block) as buffer:
        buffer[:] = pattern(block)
        equal('written', os.write(fd, buffer), block)
        buffer[:] = bytes(block)
        equal('read', os.preadv(fd, [buffer], 0), block)
        same_bytes('content', buffer[:], pattern(block))
    os.close(fd)
    same_bytes('content by an ordinary descriptor', get('a'), pattern(block))


def read_ahead_does_not_outlive_a_write():
    """Random reads and writes through one descriptor agree with a copy in memory."""
    rng = random.Random(42)
    size = 400_000
    model = bytearray(pattern(size))
    fd = fresh(model)
    for step in range(400):
        at, length = rng.randrange(size), rng.randrange(1, 20_000)
        if rng.random() < 0.5:
            data = bytes([step & 0xFF]) * min(length, size - at)
            os.pwrite(fd, data, at)
            model[at : at + len(data)] = data
        else:
            same_bytes(f'read {step} at {at}', os.pread(fd, length, at), bytes(model[at : at + length]))
    os.close(fd)
    same_bytes('whole', get('a'), bytes(model))


def sixteen_readers():
    """Sixteen processes that read one file at once all read the same."""
    data = pattern(1 << 20)
    put('a', data)
    peers = [Peer() for _ in range(16)]
    try:
        for peer in peers:
            peer.start(get, 'a')
        for i, peer in enumerate(peers):
            same_bytes(f'reader {i}', peer.finish(), data)
    finally:
        for peer in peers:
            peer.__exit__()


def descriptor_survives_many_others():
    """A descriptor goes on at its offset although a thousand opens and closes happened in between."""
    put('a', b'0123456789')
    put('b')
    fd = os.open('a', os.O_RDONLY)
    equal('first', os.read(fd, 5), b'01234')
    for _ in range(1000):
        os.close(os.open('b', os.O_RDONLY))
    equal('second', read_all(fd), b'56789')
    os.close(fd)
