"""One timed piece of work on a directory: workload.py NAME DIRECTORY [SCALE]. Prints the seconds that it took.

The interpreter's start and the preparation of the work are not counted. SCALE divides the sizes, for a quick look.
"""

import ctypes
import os
import random
import subprocess
import sys
import threading
import time

MIB = 1 << 20
SCALE = int(sys.argv[3]) if len(sys.argv) > 3 else 1
BIG = 512 // SCALE * MIB
FILES = 2000 // SCALE
ENTRIES = 10000 // SCALE
READS = 4096 // SCALE
GETATTRS = 5000 // SCALE
QUIET = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, 'check': True}


def seqwrite():
    block = os.urandom(MIB)
    with open('big', 'wb', buffering=0) as file:
        for _ in range(BIG // MIB):
            file.write(block)
        os.fsync(file.fileno())


def seqread():
    total = 0
    with open('big', 'rb', buffering=0) as file:
        while chunk := file.read(MIB):
            total += len(chunk)
    if total != BIG:
        raise SystemExit(f'read {total} bytes of {BIG}')


def randread():
    """4 KiB at random places, one after the other."""
    places = random.Random(9)
    fd = os.open('big', os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for _ in range(READS):
        if len(os.pread(fd, 4096, places.randrange(BIG // 4096) * 4096)) != 4096:
            raise SystemExit('short read')


def readers(count=16):
    """Threads read 1 MiB at a time, each its own part."""
    read = []
    def part(number):
        fd = os.open('big', os.O_RDONLY)
        share = BIG // count
        buffer = memoryview(bytearray(MIB))
        end = (number + 1) * share
        for at in range(number * share, end, MIB):
            read.append(os.preadv(fd, [buffer[: end - at]], at))
        os.close(fd)
    threads = [threading.Thread(target=part, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sum(read) != BIG:
        raise SystemExit(f'read {sum(read)} bytes of {BIG}')


def readers64():
    readers(64)


def create():
    os.mkdir('small')
    for i in range(FILES):
        with open(f'small/f{i:05}', 'wb', buffering=0) as file:
            file.write(b'x' * 1000)


def readsmall():
    for i in range(FILES):
        with open(f'small/f{i:05}', 'rb', buffering=0) as file:
            if len(file.read(4096)) != 1000:
                raise SystemExit('short file')


def stat():
    for i in range(FILES):
        os.stat(f'small/f{i:05}')


def unlink():
    for i in range(FILES):
        os.unlink(f'small/f{i:05}')
    os.rmdir('small')


def lsl():
    subprocess.run(['ls', '-l', 'many'], **QUIET)


def gitclone():
    subprocess.run(['git', 'clone', '-q', '--no-hardlinks', 'origin', 'clone'], **QUIET)


def gitstatus():
    subprocess.run(['git', '-C', 'clone', 'status', '--porcelain'], **QUIET)


def getattr_forced():
    """statx(2) with AT_STATX_FORCE_SYNC: each is a request of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)
    for _ in range(GETATTRS):
        if libc.statx(-100, b'big', 0x2000, 0x7ff, buffer) != 0:
            raise SystemExit(os.strerror(ctypes.get_errno()))


WORK = {f.__name__: f for f in
        (seqwrite, seqread, randread, readers, readers64, create, readsmall, stat, unlink, lsl, gitclone, gitstatus, getattr_forced)}

os.chdir(sys.argv[2])
if sys.argv[1] == 'getattr_forced':
    getattr_forced()  # the first ones pay for the compiler, as in rawclient.mjs
begin = time.perf_counter()
WORK[sys.argv[1]]()
print(time.perf_counter() - begin)
