# mmap(2): private and shared mappings, and how they agree with read and write.

import errno
import mmap
import os
import random
import signal

from kit import Peer, check, equal, get, pattern, put, raises, signal_of

PAGE = mmap.PAGESIZE


def private_read():
    """A private mapping shows the content."""
    data = pattern(5 * PAGE + 100)
    put('a', data)
    fd = os.open('a', os.O_RDONLY)
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as m:
        check(m[:] == data, 'the mapping differs from the content')
    os.close(fd)


def private_write_stays_private():
    """A write into a private mapping never reaches the file."""
    put('a', b'content' * 1000)
    fd = os.open('a', os.O_RDONLY)
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as m:
        m[:7] = b'CHANGED'
        equal('mapping', m[:7], b'CHANGED')
    os.close(fd)
    equal('content', get('a'), b'content' * 1000)


def tail_of_the_last_page_is_zero():
    """Beyond the end of the file the last page reads as zeros."""
    put('a', b'x' * 100)
    fd = os.open('a', os.O_RDWR)
    os.ftruncate(fd, PAGE)
    m = mmap.mmap(fd, PAGE, mmap.MAP_SHARED)
    os.ftruncate(fd, 100)
    equal('tail', m[100:], bytes(PAGE - 100))
    m.close()
    os.close(fd)


def shared_write_seen_by_read():
    """What is stored into a shared mapping read(2) returns, through the same descriptor and another."""
    put('a', bytes(3 * PAGE))
    fd = os.open('a', os.O_RDWR)
    other = os.open('a', os.O_RDONLY)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m:
        m[PAGE + 10 : PAGE + 17] = b'content'
        equal('read', os.pread(fd, 7, PAGE + 10), b'content')
        equal('read through the other', os.pread(other, 7, PAGE + 10), b'content')
        m.flush()
    os.close(fd)
    os.close(other)


def shared_write_seen_after_reopen():
    """After munmap and close the stored bytes are in the file."""
    data = pattern(10 * PAGE)
    put('a', bytes(10 * PAGE))
    fd = os.open('a', os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m:
        m[:] = data
    os.close(fd)
    check(get('a') == data, 'the file differs from what was stored')


def shared_write_after_close():
    """A mapping outlives its descriptor; what is stored after the close is kept."""
    put('a', bytes(2 * PAGE))
    fd = os.open('a', os.O_RDWR)
    m = mmap.mmap(fd, 0, mmap.MAP_SHARED)
    os.close(fd)
    m[5:12] = b'content'
    m.flush()
    m.close()
    equal('content', get('a')[5:12], b'content')


def msync():
    """After msync another process reads what was stored."""
    put('a', bytes(PAGE))
    fd = os.open('a', os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m, Peer() as other:
        for i in range(5):
            m[i * 10 : i * 10 + 5] = b'step%d' % i
            m.flush()
            equal('read by the other', other.do(get, 'a')[i * 10 : i * 10 + 5], b'step%d' % i)
    os.close(fd)


def write_seen_by_a_mapping():
    """What write(2) wrote a shared mapping shows."""
    put('a', bytes(2 * PAGE))
    fd = os.open('a', os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m:
        equal('before', m[100:107], bytes(7))
        os.pwrite(fd, b'content', 100)
        equal('after', m[100:107], b'content')
    os.close(fd)


def two_processes_share():
    """Two processes with shared mappings of one file see each other's stores."""
    put('a', bytes(PAGE))
    fd = os.open('a', os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m, Peer() as other:
        other.do(_map, 'a')
        other.do(_store, 0, b'from the other')
        equal('here', m[:14], b'from the other')
        m[100:109] = b'from here'
        equal('there', other.do(_load, 100, 9), b'from here')
    os.close(fd)


_kept = {}


def _map(path):
    fd = os.open(path, os.O_RDWR)
    _kept['map'] = mmap.mmap(fd, 0, mmap.MAP_SHARED)
    os.close(fd)


def _store(at, data):
    _kept['map'][at : at + len(data)] = data


def _load(at, length):
    return _kept['map'][at : at + length]


def beyond_the_end():
    """A touch of a page wholly beyond the end of the file is a SIGBUS."""
    put('a', b'x' * 2 * PAGE)
    fd = os.open('a', os.O_RDWR)
    m = mmap.mmap(fd, 2 * PAGE, mmap.MAP_SHARED)
    os.ftruncate(fd, PAGE)
    equal('the page that is left', m[0], ord('x'))
    got = signal_of(lambda: m[PAGE])
    check(got == signal.SIGBUS, f'expected SIGBUS, got {got}')
    m.close()
    os.close(fd)


def grown_under_a_mapping():
    """Pages beyond the end become usable when the file grows."""
    put('a', b'x' * 2 * PAGE)
    fd = os.open('a', os.O_RDWR)
    m = mmap.mmap(fd, 2 * PAGE, mmap.MAP_SHARED)
    os.ftruncate(fd, PAGE)
    os.ftruncate(fd, 2 * PAGE)
    equal('second page', m[PAGE : PAGE + 10], bytes(10))
    m[PAGE] = 7
    m.flush()
    equal('read', os.pread(fd, 1, PAGE), b'\x07')
    m.close()
    os.close(fd)


def of_an_unlinked_file():
    """A mapping of an unlinked file goes on working."""
    put('a', b'content' * 2000)
    fd = os.open('a', os.O_RDWR)
    m = mmap.mmap(fd, 0, mmap.MAP_SHARED)
    os.unlink('a')
    equal('mapping', m[7000:7007], b'content')
    m[7000:7007] = b'CONTENT'
    m.flush()
    equal('read', os.pread(fd, 7, 7000), b'CONTENT')
    m.close()
    os.close(fd)


def read_only_descriptor():
    """A shared writable mapping of a descriptor opened for reading is refused with EACCES."""
    put('a', bytes(PAGE))
    fd = os.open('a', os.O_RDONLY)
    raises(errno.EACCES, mmap.mmap, fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(fd)


def moves_mtime():
    """A store into a shared mapping, synced and closed, moves mtime."""
    put('a', bytes(PAGE))
    os.utime('a', ns=(10**18, 10**18))
    fd = os.open('a', os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m:
        m[0] = 1
        m.flush()
    os.close(fd)
    check(os.stat('a').st_mtime_ns != 10**18, 'mtime is still the old one')


def large_and_random():
    """Random stores into 2 MiB agree with a copy in memory, read back through read(2)."""
    rng = random.Random(7)
    size = 2 << 20
    model = bytearray(size)
    put('a', bytes(size))
    fd = os.open('a', os.O_RDWR)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED) as m:
        for step in range(300):
            at = rng.randrange(size - 5000)
            data = bytes([step & 0xFF]) * rng.randrange(1, 5000)
            m[at : at + len(data)] = data
            model[at : at + len(data)] = data
    os.close(fd)
    check(get('a') == bytes(model), 'the file differs from the copy in memory')
