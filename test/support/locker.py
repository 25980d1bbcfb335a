"""A process that takes and gives up locks as it is told, a line at a time: lock|read|wait|unlock|get|close for records,
flock|flockread|flockwait|flockoff for flock(2), which another open of the file has if the word begins with `other-`.
It answers each with a line: ok, the errno's name, or what F_GETLK says. `wait SECONDS RESTART` first arms an alarm (0: none)
whose handler is (RESTART 1) or is not (0) installed with SA_RESTART, and says how often it ran."""

import ctypes
import errno
import fcntl
import os
import signal
import struct
import sys

FLOCK = 'hhqqi4x'
FLOCKS = {'flock': fcntl.LOCK_EX | fcntl.LOCK_NB, 'flockread': fcntl.LOCK_SH | fcntl.LOCK_NB, 'flockoff': fcntl.LOCK_UN}
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
other = os.open(sys.argv[1], os.O_RDWR)
alarms = 0


def handler(_signal, _frame):
    global alarms
    alarms += 1


def whole(operation, descriptor):
    return 'ok' if libc.flock(descriptor, operation) == 0 else errno.errorcode[ctypes.get_errno()]


def waited(seconds, restart, take):
    global alarms
    alarms = 0
    signal.signal(signal.SIGALRM, handler)
    signal.siginterrupt(signal.SIGALRM, not restart)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    said = take()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return f'{said} {alarms}'


def call(command, kind, start, length):
    # the bare system call: Python's own fcntl tries again after EINTR
    lock = ctypes.create_string_buffer(struct.pack(FLOCK, kind, os.SEEK_SET, start, length, 0))
    if libc.fcntl(fd, command, lock) != 0:
        return errno.errorcode[ctypes.get_errno()], lock.raw
    return 'ok', lock.raw


for line in sys.stdin:
    word, *rest = line.split()
    numbers = [float(one) for one in rest]
    start, length = (int(one) for one in (numbers + [0, 0])[:2])
    if word == 'lock':
        print(call(fcntl.F_SETLK, fcntl.F_WRLCK, start, length)[0])
    elif word == 'read':
        print(call(fcntl.F_SETLK, fcntl.F_RDLCK, start, length)[0])
    elif word == 'unlock':
        print(call(fcntl.F_SETLK, fcntl.F_UNLCK, start, length)[0])
    elif word == 'get':
        _, raw = call(fcntl.F_GETLK, fcntl.F_WRLCK, start, length)
        print(*struct.unpack(FLOCK, raw[: struct.calcsize(FLOCK)]))
    elif word == 'wait':
        print(waited(*numbers, lambda: call(fcntl.F_SETLKW, fcntl.F_WRLCK, 0, 0)[0]))
    elif word == 'flockwait':
        print(waited(*numbers, lambda: whole(fcntl.LOCK_EX, fd)))
    elif word.removeprefix('other-') in FLOCKS:
        print(whole(FLOCKS[word.removeprefix('other-')], other if word.startswith('other-') else fd))
    elif word == 'closeother':
        os.close(other)
        print('ok')
    elif word == 'close':
        # any descriptor of the file will do (fcntl(2))
        os.close(os.open(sys.argv[1], os.O_RDONLY))
        print('ok')
    sys.stdout.flush()
