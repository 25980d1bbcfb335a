# Byte-range locks of processes and of open files, and flock: who is kept out, who is told, when it ends.

import errno
import fcntl
import os
import signal
from fcntl import F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN

from kit import Peer, check, equal, first_done, in_child, lock, lock_holder, needs, put, raises

BUSY = (errno.EAGAIN, errno.EACCES)
RW = os.O_RDWR


def _two():
    """A file, a descriptor on it, another process and a descriptor there."""
    put('a', b'x' * 1000)
    other = Peer()
    return os.open('a', RW), other, other.do(os.open, 'a', RW)


@needs('locks')
def exclusive():
    """What one process has locked another one cannot lock, until it is unlocked."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_WRLCK)
        raises(BUSY, other.do, lock, ofd, F_WRLCK)
        raises(BUSY, other.do, lock, ofd, F_RDLCK)
        lock(fd, F_UNLCK)
        other.do(lock, ofd, F_WRLCK)
        raises(BUSY, lock, fd, F_RDLCK)


@needs('locks')
def shared():
    """Read locks go together; a write lock waits for all of them."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_RDLCK)
        other.do(lock, ofd, F_RDLCK)
        raises(BUSY, lock, fd, F_WRLCK)
        raises(BUSY, other.do, lock, ofd, F_WRLCK)
        lock(fd, F_UNLCK)
        other.do(lock, ofd, F_WRLCK)


@needs('locks')
def same_process_again():
    """A process does not keep itself out: it may lock again and change the kind."""
    put('a', b'x')
    one, two = os.open('a', RW), os.open('a', RW)
    lock(one, F_WRLCK)
    lock(two, F_WRLCK)
    lock(two, F_RDLCK)
    equal('holder seen by the same process', lock_holder(one, F_WRLCK), None)


@needs('locks')
def ranges():
    """Locks on ranges that do not touch each other do not conflict."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_WRLCK, 0, 10)
        other.do(lock, ofd, F_WRLCK, 10, 10)
        raises(BUSY, other.do, lock, ofd, F_WRLCK, 9, 1)
        raises(BUSY, lock, fd, F_WRLCK, 19, 1)
        lock(fd, F_WRLCK, 20, 0)
        raises(BUSY, other.do, lock, ofd, F_WRLCK, 1_000_000, 1)


@needs('locks')
def range_split():
    """Unlocking the middle leaves both ends locked."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_WRLCK, 0, 100)
        lock(fd, F_UNLCK, 40, 20)
        other.do(lock, ofd, F_WRLCK, 40, 20)
        raises(BUSY, other.do, lock, ofd, F_WRLCK, 39, 1)
        raises(BUSY, other.do, lock, ofd, F_WRLCK, 60, 1)


@needs('locks')
def range_downgraded():
    """Part of a write lock that was turned into a read lock can be shared."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_WRLCK, 0, 100)
        lock(fd, F_RDLCK, 50, 50)
        other.do(lock, ofd, F_RDLCK, 50, 50)
        raises(BUSY, other.do, lock, ofd, F_RDLCK, 0, 50)


@needs('locks')
def far_ranges():
    """Ranges beyond 4 GiB are kept apart (as sqlite's are beyond 1 GiB)."""
    fd, other, ofd = _two()
    far = (1 << 32) + 7
    with other:
        lock(fd, F_WRLCK, far, 1)
        other.do(lock, ofd, F_WRLCK, 7, 1)
        other.do(lock, ofd, F_WRLCK, far + 1, 1)
        raises(BUSY, other.do, lock, ofd, F_WRLCK, far, 1)


@needs('locks')
def holder_is_told():
    """F_GETLK tells kind, range and process of a lock in the way, and nothing when there is none."""
    fd, other, ofd = _two()
    with other:
        equal('without any lock', lock_holder(fd, F_WRLCK), None)
        other.do(lock, ofd, F_WRLCK, 100, 50)
        equal('holder', lock_holder(fd, F_RDLCK), (F_WRLCK, 100, 50, other.pid))
        equal('holder of another range', lock_holder(fd, F_WRLCK, 0, 100), None)
        other.do(lock, ofd, F_RDLCK, 100, 50)
        equal('holder of a read lock', lock_holder(fd, F_WRLCK, 120, 1), (F_RDLCK, 100, 50, other.pid))
        equal('for another read lock', lock_holder(fd, F_RDLCK, 120, 1), None)


@needs('locks')
def holder_is_told_after_an_unlock():
    """F_GETLK tells the process of a lock also when that one has unlocked another part, or has asked something itself."""
    fd, other, ofd = _two()
    with other:
        other.do(lock, ofd, F_WRLCK, 0, 10)
        other.do(lock, ofd, F_UNLCK, 5, 5)
        equal('holder after an unlock', lock_holder(fd, F_WRLCK), (F_WRLCK, 0, 5, other.pid))
        other.do(lock_holder, ofd, F_WRLCK, 20, 1)
        equal('holder after a question of its own', lock_holder(fd, F_WRLCK), (F_WRLCK, 0, 5, other.pid))


@needs('locks')
def gone_with_any_close():
    """Closing any descriptor of the file drops all locks of the process on it."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_WRLCK)
        second = os.open('a', os.O_RDONLY)
        raises(BUSY, other.do, lock, ofd, F_WRLCK)
        os.close(second)
        other.do(lock, ofd, F_WRLCK)


@needs('locks')
def gone_with_the_process():
    """A process that is killed leaves no lock behind."""
    put('a', b'x')
    fd = os.open('a', RW)
    with Peer() as other:
        ofd = other.do(os.open, 'a', RW)
        other.do(lock, ofd, F_WRLCK)
        raises(BUSY, lock, fd, F_WRLCK)
    lock(fd, F_WRLCK)


@needs('locks')
def not_inherited():
    """A forked child has none of its parent's locks, and its exit drops none."""
    put('a', b'x')
    fd = os.open('a', RW)
    lock(fd, F_WRLCK)
    raises(BUSY, in_child, lock, fd, F_WRLCK)
    with Peer() as other:
        ofd = other.do(os.open, 'a', RW)
        raises(BUSY, other.do, lock, ofd, F_WRLCK)


@needs('locks')
def needs_the_right_open_mode():
    """A write lock needs a descriptor open for writing, a read lock one for reading: EBADF."""
    put('a', b'x')
    reader, writer = os.open('a', os.O_RDONLY), os.open('a', os.O_WRONLY)
    raises(errno.EBADF, lock, reader, F_WRLCK)
    raises(errno.EBADF, lock, writer, F_RDLCK)
    lock(reader, F_RDLCK)
    lock(writer, F_WRLCK)


@needs('locks')
def waited_for():
    """F_SETLKW waits until the lock is free and then has it."""
    fd, other, ofd = _two()
    with other:
        lock(fd, F_WRLCK)
        other.start(lock, ofd, F_WRLCK, 0, 0, fcntl.F_SETLKW)
        # The only thing to see here is that it has not come back; too short a look can pass wrongly, never fail.
        check(other.idle(0.1), 'F_SETLKW came back although the lock was taken')
        lock(fd, F_UNLCK)
        other.finish()
        raises(BUSY, lock, fd, F_RDLCK)


@needs('locks')
def wait_interrupted():
    """A signal with a handler ends F_SETLKW with EINTR when the handler raises."""
    fd, other, ofd = _two()
    with other:
        other.do(lock, ofd, F_WRLCK)
        raises(errno.ETIME, _lock_with_alarm, fd, 0, 0)
        other.do(lock, ofd, F_UNLCK)
        lock(fd, F_WRLCK)


def _lock_with_alarm(fd, start, length):
    """Wait for a lock until an alarm rings, which comes out as ETIME."""

    def ring(*_):
        raise OSError(errno.ETIME, 'the alarm rang')

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        lock(fd, F_WRLCK, start, length, fcntl.F_SETLKW)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@needs('locks')
def deadlock_of_two():
    """Of two processes that wait for each other one gets EDEADLK, and the other its lock when that one gives way."""
    put('a')
    with Peer() as one, Peer() as two:
        _deadlock([(one, 'a', 0), (two, 'a', 1)])


@needs('locks')
def deadlock_over_three_files():
    """EDEADLK also where each of three processes has a file that the next one waits for."""
    for name in 'abc':
        put(name)
    with Peer() as one, Peer() as two, Peer() as three:
        _deadlock([(one, 'a', 0), (two, 'b', 0), (three, 'c', 0)])


def _deadlock(places):
    """Each locks its place, then waits for that of the one before. Exactly one is refused, whichever begins last; when that
    one unlocks, the others get what they wait for, one after the other."""
    peers = [peer for peer, _, _ in places]
    fds = [peer.do(os.open, name, RW) for peer, name, _ in places]
    for fd, (peer, _, start) in zip(fds, places, strict=True):
        peer.do(lock, fd, F_WRLCK, start, 1)
    for i, peer in enumerate(peers):
        _, name, start = places[i - 1]
        wanted = peer.do(os.open, name, RW)
        peer.start(lock, wanted, F_WRLCK, start, 1, fcntl.F_SETLKW)
    first = peers.index(first_done(peers))
    raises(errno.EDEADLK, peers[first].finish)
    for at in range(first, first + len(peers)):
        peer, _, start = places[at % len(peers)]
        if at > first:
            peer.finish()
        peer.do(lock, fds[at % len(peers)], F_UNLCK, start, 1)


@needs('locks')
def no_deadlock_of_a_row():
    """Processes that wait in a row, each for the next, are not refused: the last one gives way, and all go on."""
    put('a')
    with Peer() as one, Peer() as two, Peer() as three:
        row = [(peer, peer.do(os.open, 'a', RW)) for peer in (one, two, three)]
        for i, (peer, fd) in enumerate(row):
            peer.do(lock, fd, F_WRLCK, i, 1)
        for i, (peer, fd) in enumerate(row[:2]):
            peer.start(lock, fd, F_WRLCK, i + 1, 1, fcntl.F_SETLKW)
        check(one.idle(0.1) and two.idle(0.1), 'F_SETLKW came back although the lock was taken')
        for i in (2, 1):
            peer, fd = row[i]
            peer.do(lock, fd, F_UNLCK)
            row[i - 1][0].finish()


@needs('locks')
def deadlock_of_readers():
    """Two processes that both read a range and want to write it: one gets EDEADLK, and the other its lock after it."""
    put('a')
    with Peer() as one, Peer() as two:
        fds = {peer: peer.do(os.open, 'a', RW) for peer in (one, two)}
        for peer, fd in fds.items():
            peer.do(lock, fd, F_RDLCK)
        for peer, fd in fds.items():
            peer.start(lock, fd, F_WRLCK, 0, 0, fcntl.F_SETLKW)
        refused = first_done([one, two])
        raises(errno.EDEADLK, refused.finish)
        refused.do(lock, fds[refused], F_UNLCK)
        (two if refused is one else one).finish()


@needs('locks')
def of_an_unlinked_file():
    """Locks work on a file without a name, between descriptors that were open before."""
    fd, other, ofd = _two()
    with other:
        os.unlink('a')
        lock(fd, F_WRLCK)
        raises(BUSY, other.do, lock, ofd, F_WRLCK)
        lock(fd, F_UNLCK)
        other.do(lock, ofd, F_WRLCK)


@needs('locks')
def of_the_open_file():
    """F_OFD_SETLK: two descriptors of one process keep each other out; a dup is the same lock."""
    put('a', b'x')
    one, two = os.open('a', RW), os.open('a', RW)
    lock(one, F_WRLCK, cmd=fcntl.F_OFD_SETLK)
    raises(BUSY, lock, two, F_WRLCK, 0, 0, fcntl.F_OFD_SETLK)
    same = os.dup(one)
    lock(same, F_WRLCK, cmd=fcntl.F_OFD_SETLK)
    os.close(one)
    raises(BUSY, lock, two, F_WRLCK, 0, 0, fcntl.F_OFD_SETLK)
    os.close(same)
    lock(two, F_WRLCK, cmd=fcntl.F_OFD_SETLK)


@needs('locks')
def of_the_open_file_against_the_process():
    """Locks of open files and of processes keep each other out."""
    put('a', b'x')
    fd = os.open('a', RW)
    lock(fd, F_WRLCK, cmd=fcntl.F_OFD_SETLK)
    with Peer() as other:
        ofd = other.do(os.open, 'a', RW)
        raises(BUSY, other.do, lock, ofd, F_WRLCK)
        lock(fd, F_UNLCK, cmd=fcntl.F_OFD_SETLK)
        other.do(lock, ofd, F_WRLCK)


@needs('locks')
def counter_of_two_processes():
    """Two processes that add to a number under a lock lose no addition."""
    put('counter', b'0'.rjust(8))
    with Peer() as one, Peer() as two:
        one.start(_add, 50)
        two.start(_add, 50)
        one.finish()
        two.finish()
    fd = os.open('counter', os.O_RDONLY)
    equal('sum', int(os.read(fd, 8)), 100)


def _add(times):
    fd = os.open('counter', RW)
    for _ in range(times):
        lock(fd, F_WRLCK, cmd=fcntl.F_SETLKW)
        value = int(os.pread(fd, 8, 0))
        os.pwrite(fd, str(value + 1).encode().rjust(8), 0)
        lock(fd, F_UNLCK)


# ---- flock


def flock_exclusive():
    """flock LOCK_EX keeps the other process out until LOCK_UN."""
    put('a')
    fd = os.open('a', RW)
    with Peer() as other:
        ofd = other.do(os.open, 'a', RW)
        fcntl.flock(fd, LOCK_EX)
        raises(errno.EWOULDBLOCK, other.do, fcntl.flock, ofd, LOCK_EX | LOCK_NB)
        raises(errno.EWOULDBLOCK, other.do, fcntl.flock, ofd, LOCK_SH | LOCK_NB)
        fcntl.flock(fd, LOCK_UN)
        other.do(fcntl.flock, ofd, LOCK_EX | LOCK_NB)


def flock_shared():
    """flock LOCK_SH goes together, LOCK_EX waits for all."""
    put('a')
    fd = os.open('a', os.O_RDONLY)
    with Peer() as other:
        ofd = other.do(os.open, 'a', os.O_RDONLY)
        fcntl.flock(fd, LOCK_SH)
        other.do(fcntl.flock, ofd, LOCK_SH | LOCK_NB)
        raises(errno.EWOULDBLOCK, fcntl.flock, fd, LOCK_EX | LOCK_NB)


def flock_gone_with_the_last_close():
    """flock belongs to the open file: a dup keeps it, the last close drops it."""
    put('a')
    one, two = os.open('a', RW), os.open('a', RW)
    same = os.dup(one)
    fcntl.flock(one, LOCK_EX)
    raises(errno.EWOULDBLOCK, fcntl.flock, two, LOCK_EX | LOCK_NB)
    os.close(one)
    raises(errno.EWOULDBLOCK, fcntl.flock, two, LOCK_EX | LOCK_NB)
    os.close(same)
    fcntl.flock(two, LOCK_EX | LOCK_NB)


def flock_waited_for():
    """flock without LOCK_NB waits until the lock is free and then has it."""
    put('a')
    fd = os.open('a', RW)
    with Peer() as other:
        ofd = other.do(os.open, 'a', RW)
        fcntl.flock(fd, LOCK_EX)
        other.start(fcntl.flock, ofd, LOCK_EX)
        check(other.idle(0.1), 'flock came back although the lock was taken')
        fcntl.flock(fd, LOCK_UN)
        other.finish()
        raises(errno.EWOULDBLOCK, fcntl.flock, fd, LOCK_EX | LOCK_NB)


def flock_of_a_directory():
    """A directory can be locked with flock."""
    os.mkdir('d')
    one, two = os.open('d', os.O_RDONLY), os.open('d', os.O_RDONLY)
    fcntl.flock(one, LOCK_EX)
    raises(errno.EWOULDBLOCK, fcntl.flock, two, LOCK_EX | LOCK_NB)
    os.close(one)
    fcntl.flock(two, LOCK_EX | LOCK_NB)
