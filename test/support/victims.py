"""Makes processes that each do one system call and tell how it ended. One JSON object a line, both ways:

in:  {"id": 1, "op": "read", "path": "/mnt/hang", "handler": null | "SIGALRM", "restart": true}
     {"storm": [1, 2], "signal": "SIGURG"}   1,000 a second to each of these until they have ended
     the end                                 kills those that are left
out: {"id": 1, "pid": 123}                   it is about to make the call
     {"id": 1, "ret": -1, "errno": "EINTR", "handled": 1}
     {"id": 1, "exit": 0, "signal": null}    it is gone

Calls go through the C library, since Python itself makes a call again after EINTR. `path` and what is made ready (a file
opened, a name chosen) come before the first line out, and are never what is waited for."""

import ctypes
import errno
import json
import os
import selectors
import signal
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.read.argtypes = libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
libc.syscall.restype = ctypes.c_long
GETDENTS64 = 217 if os.uname().machine == 'x86_64' else 61
buffer = ctypes.create_string_buffer(65536)


def ready(op, path):
    """What the call needs, and the call."""
    name = path.encode()
    if op in ('read', 'read cached'):
        fd = os.open(path, os.O_RDONLY)
        return lambda: libc.read(fd, buffer, 100)
    if op in ('write', 'write cached'):
        fd = os.open(path, os.O_RDWR)
        return lambda: libc.write(fd, buffer, 100)
    if op == 'open':
        return lambda: libc.open(name, os.O_RDONLY)
    if op == 'stat':
        return lambda: libc.access(name, os.F_OK)
    if op == 'readdir':
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        return lambda: libc.syscall(GETDENTS64, fd, buffer, len(buffer))
    if op == 'create':
        return lambda: libc.open(name + b'.new', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    if op == 'unlink':
        return lambda: libc.unlink(name)
    if op == 'rename':
        return lambda: libc.rename(name, name + b'.moved')
    if op == 'fsync':
        fd = os.open(path, os.O_RDWR)
        return lambda: libc.fsync(fd)
    if op in ('SETLKW', 'SETLKW of a range'):
        fd = os.open(path, os.O_RDWR)
        place = (0, 0) if op == 'SETLKW' else (10, 10)
        lock = ctypes.create_string_buffer(struct.pack('hhqqi4x', 1, 0, *place, 0))
        return lambda: libc.fcntl(fd, 7, lock)
    if op == 'getxattr':
        return lambda: libc.getxattr(name, b'user.ninefs', buffer, 100)
    if op == 'chmod':
        return lambda: libc.chmod(name, 0o600)
    if op == 'statfs':
        return lambda: libc.statfs(name, buffer)
    if op == 'mkdir':
        return lambda: libc.mkdir(name + b'.new', 0o755)
    if op == 'mknod':
        return lambda: libc.mkfifo(name + b'.new', 0o644)
    if op == 'symlink':
        return lambda: libc.symlink(b'file', name + b'.new')
    if op == 'readlink':
        return lambda: libc.readlink(name, buffer, 100)
    if op == 'link':
        return lambda: libc.link(name, name + b'.new')
    if op == 'GETLK':
        fd = os.open(path, os.O_RDWR)
        lock = ctypes.create_string_buffer(struct.pack('hhqqi4x', 1, 0, 0, 0, 0))
        return lambda: libc.fcntl(fd, 5, lock)
    if op == 'setxattr':
        return lambda: libc.setxattr(name, b'user.new', b'value', 5, 0)
    if op == 'open and close':
        return lambda: libc.close(libc.open(name, os.O_RDONLY))
    if op == 'read all':
        fd = os.open(path, os.O_RDONLY)
        return lambda: read_all(fd)
    raise ValueError(op)


def read_all(fd):
    total = 0
    while True:
        count = libc.read(fd, buffer, len(buffer))
        if count <= 0:
            return count if count < 0 else total
        total += count


def victim(out, order):
    handled = 0

    def handler(_signal, _frame):
        nonlocal handled
        handled += 1

    if order['handler'] is not None:
        number = getattr(signal, order['handler'])
        signal.signal(number, handler)
        signal.siginterrupt(number, not order['restart'])
    call = ready(order['op'], order['path'])

    def say(**what):
        os.write(out, (json.dumps({'id': order['id'], **what}) + '\n').encode())

    say(pid=os.getpid())
    ret = call()
    code = ctypes.get_errno()
    say(ret=ret, errno=errno.errorcode.get(code, code) if ret < 0 else None, handled=handled)


def main():
    for name in ('SIGINT', 'SIGQUIT', 'SIGTERM'):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    pids, storms, rest = {}, {}, b''
    out = 1

    def say(what):
        os.write(out, (json.dumps(what) + '\n').encode())

    def fork(order):
        # whose end closes it is seen by the reader, also when it is killed
        here, there = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(0)
                os.close(here)
                victim(there, order)
            except OSError as error:
                os.write(there, (json.dumps({'id': order['id'], 'broken': str(error)}) + '\n').encode())
            finally:
                os._exit(0)
        os.close(there)
        pids[here] = (pid, order['id'])
        selector.register(here, selectors.EVENT_READ)

    open_ = True
    while open_ or pids:
        for pid in [pid for pid, number in storms.items()]:
            os.kill(pid, storms[pid])
        for key, _ in selector.select(0.001 if storms else None):
            data = os.read(key.fd, 65536)
            if key.fd == 0:
                if not data:
                    selector.unregister(0)
                    open_ = False
                    for pid, _ in pids.values():
                        os.kill(pid, signal.SIGKILL)
                rest += data
                *lines, rest = rest.split(b'\n')
                for line in lines:
                    order = json.loads(line)
                    if 'storm' in order:
                        wanted = [pid for pid, number in pids.values() if number in order['storm']]
                        storms.update({pid: getattr(signal, order['signal']) for pid in wanted})
                    else:
                        fork(order)
            elif data:
                os.write(out, data)
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
                pid, number = pids.pop(key.fd)
                storms.pop(pid, None)
                _, status = os.waitpid(pid, 0)
                killed = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else None
                say({'id': number, 'exit': os.waitstatus_to_exitcode(status), 'signal': killed})


sys.exit(main())
