"""Processes that wait in read(2), and a signal for all of them: blocked.py FILE COUNT SIZE SIGNAL.

Opens FILE in COUNT processes, reads SIZE bytes in each, and sends SIGNAL to all when the kernel holds a request of each
(/sys/fs/fuse/connections) and a line has come on standard input: only whoever sees into the daemon knows when it has taken
them from the kernel, which drops the request of a killed process that has not been taken. The signal has a handler without SA_RESTART, where it can have one. Prints one line of JSON: how
many came back with what (`EINTR`, `64 bytes`, `SIGKILL`), and the seconds until the last was back.
"""

import ctypes
import errno
import json
import os
import signal
import sys
import time

FILE, COUNT, SIZE, SIGNAL = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), getattr(signal, sys.argv[4])
PATIENCE = 60  # seconds, of each wait

libc = ctypes.CDLL(None, use_errno=True)  # os.read() would begin again after EINTR


def reader(say):
    if SIGNAL not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(SIGNAL, lambda *_: None)
    fd = os.open(FILE, os.O_RDONLY)
    buffer = ctypes.create_string_buffer(SIZE)
    os.write(say, b'opened\n')
    got = libc.read(fd, buffer, SIZE)
    os.write(say, f'{got} bytes\n'.encode() if got >= 0 else f'{errno.errorcode[ctypes.get_errno()]}\n'.encode())
    os._exit(0)


def until(what, so):
    late = time.monotonic() + PATIENCE
    while not so():
        if time.monotonic() > late:
            raise SystemExit(f'not within {PATIENCE} s: {what}')
        time.sleep(0.01)


def waiting():
    # statx(2) may not be asked of the mount for each look: it would be a request itself
    with open(f'/sys/fs/fuse/connections/{CONNECTION}/waiting', encoding='ascii') as file:
        return int(file.read())


CONNECTION = os.minor(os.stat(FILE).st_dev)
children = {}
try:
    for _ in range(COUNT):
        hear, say = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(hear)
            reader(say)
        os.close(say)
        children[pid] = os.fdopen(hear)
    for pid, line in children.items():
        if line.readline() != 'opened\n':
            raise SystemExit(f'{FILE} cannot be opened')
    until(f'{COUNT} requests wait', lambda: waiting() == COUNT)
    if not sys.stdin.readline():
        raise SystemExit('standard input ended without the line that lets the signals go')
    begin = time.monotonic()
    for pid in children:
        os.kill(pid, SIGNAL)
    results = {}
    late = begin + PATIENCE
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            if time.monotonic() > late:
                raise SystemExit(f'{len(children)} of {COUNT} are not back within {PATIENCE} s')
            time.sleep(0.002)
            continue
        line = children.pop(pid)
        how = line.readline().strip() or signal.Signals(os.WTERMSIG(status)).name
        results[how] = results.get(how, 0) + 1
    print(json.dumps({'results': results, 'seconds': time.monotonic() - begin}))
finally:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
