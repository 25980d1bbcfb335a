# What every case is written with: expectations that say "expected X, got Y", small file helpers, and children.
# Guarantees: an expectation that fails raises Fail with the call and both values; a child's result or error comes
# back to the caller as if the call had been made here. A wait for a child has no deadline of its own, because
# run.py kills the whole process group of a case that has taken too long.
# Must not: know any particular file system, or keep state between two cases.

import errno
import fcntl
import inspect
import os
import pickle
import pwd
import signal
import stat
import struct
import time
import traceback
from multiprocessing.connection import Pipe, wait


def _second_user():
    """An account besides root and nobody: servers that look users up refuse one that they have never heard of."""
    try:
        account = pwd.getpwnam('daemon')
    except KeyError:
        return 65533
    return account.pw_uid if account.pw_uid == account.pw_gid else 65533


NOBODY = 65534  # an ordinary user without any privilege
OTHER = _second_user()  # a second one
TEAM = 64000  # a group that neither of them is in
# Two that are in TEAM, always: a server may know the groups of a user from a database of its own (support/accounts.ts).
MEMBER = 64001  # has it as a supplementary group
MATE = 64002  # has it as the primary group

KINDS = {
    'root': 'the caller is root',
    'multiuser': 'other users may enter the directory (root, and allow_other on a FUSE mount)',
    'mknod': 'the caller may make device nodes',
    'xattr': 'the file system takes user.* attributes',
    'locks': 'the file system takes byte-range locks',
}


class Fail(AssertionError):
    """The file system did something other than what the case expects."""


class Skip(Exception):
    """The case cannot be decided here; the text says why."""


def needs(*kinds):
    """Declare what a case cannot do without; run.py finds out whether it is there."""
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise ValueError(f'unknown need: {", ".join(unknown)}')

    def mark(case):
        case.needs = kinds
        return case

    return mark


def rows(table):
    """Make a case of every row of a table (name -> row): the function is called with the row, and the name of the case
    is the function's with the row's behind it. A row says in `about` what it is for, and may have needs of its own."""

    def mark(fn):
        fn.rows = [_case_of_row(fn, name, row) for name, row in table.items()]
        return fn

    return mark


def _case_of_row(fn, name, row):
    def case():
        fn(row)

    case.__name__ = f'{fn.__name__}_{name}'
    case.__doc__ = f'{inspect.getdoc(fn).removesuffix(".")}: {row.about}.'
    case.needs = (*getattr(fn, 'needs', ()), *getattr(row, 'needs', ()))
    return case


# ---- expectations


def errname(number):
    return errno.errorcode.get(number, str(number))


def shown(value):
    text = repr(value)
    return text if len(text) <= 160 else f'{text[:120]}... ({len(text)} characters)'


def call_text(fn, args, kw):
    parts = [shown(a) for a in args] + [f'{k}={shown(v)}' for k, v in kw.items()]
    text = f'{getattr(fn, "__name__", "call")}({", ".join(parts)})'
    return text if len(text) <= 300 else text[:300] + '...)'


def equal(what, got, want):
    if got != want:
        raise Fail(f'{what}: expected {shown(want)}, got {shown(got)}')


def same_bytes(what, got, want):
    """Compare much data without printing it."""
    if got == want:
        return
    at = next((i for i, (g, w) in enumerate(zip(got, want, strict=False)) if g != w), min(len(got), len(want)))
    raise Fail(f'{what}: {len(got)} bytes for {len(want)}, the first difference at {at}')


def check(condition, message):
    if not condition:
        raise Fail(message)


def raises(want, fn, *args, **kw):
    """The call must fail with this errno (or one of these); which one it was is returned."""
    wants = want if isinstance(want, tuple) else (want,)
    expected = ' or '.join(errname(w) for w in wants)
    try:
        got = fn(*args, **kw)
    except OSError as error:
        if error.errno in wants:
            return error.errno
        raise Fail(f'{call_text(fn, args, kw)}: expected {expected}, got {errname(error.errno)}') from None
    raise Fail(f'{call_text(fn, args, kw)}: expected {expected}, but it succeeded with {shown(got)}')


def mode_of(path, follow=True):
    return stat.S_IMODE(os.stat(path, follow_symlinks=follow).st_mode)


def same_mode(path, want):
    got = mode_of(path)
    if got != want:
        raise Fail(f'mode of {path}: expected {want:04o}, got {got:04o}')


def exists(path):
    return os.path.lexists(path)


def near_now(what, ns):
    """A stamp that the file system took from its clock just now (a minute of difference between clocks is allowed)."""
    off = abs(time.time_ns() - ns)
    check(off < 60_000_000_000, f'{what}: expected about now, got a time {off / 1e9:.0f} s away')


# ---- files


def put(path, data=b'', mode=0o644):
    """Make a file with this content, whatever was there before."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def get(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_all(fd)
    finally:
        os.close(fd)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_all(fd):
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b''.join(parts)


def names(path='.'):
    return sorted(os.listdir(path))


def open_close(path, flags, mode=0o644):
    """Open a file for the sake of whether that works."""
    os.close(os.open(path, flags, mode))


def executable_here():
    """Executing cannot be tried on a file system that is mounted noexec."""
    if os.statvfs('.').f_flag & os.ST_NOEXEC:
        raise Skip('mounted noexec')


def fresh(data=b'', path='a'):
    """A new file with this content, open for reading and writing."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    write_all(fd, data)
    return fd


def pattern(size, seed=1):
    """Bytes in which every 4-byte word tells its own position, so that a misplaced block cannot look right."""
    words = (size + 3) // 4
    return struct.pack(f'<{words}I', *((i * 2654435761 + seed) & 0xFFFFFFFF for i in range(words)))[:size]


def tick():
    """Let the clock that files are stamped with move on. Kernels stamp with the coarse clock (1 to 10 ms), so two
    steps of it divide everything before from everything after; there is no event to wait for."""
    for _ in range(2):
        before = time.clock_gettime_ns(5)  # CLOCK_REALTIME_COARSE
        while time.clock_gettime_ns(5) == before:
            time.sleep(0.001)


# ---- children


def _become(uid):
    if uid is None:
        return
    os.setgroups([TEAM] if uid == MEMBER else [])
    gid = TEAM if uid == MATE else uid
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def outcome(fn, args):
    """What a call came to, in a form that can be sent to another process."""
    try:
        return ('value', fn(*args))
    except OSError as error:
        return ('errno', error.errno, f'{call_text(fn, args, {})}: {error.strerror}')
    except Fail as failure:
        return ('fail', str(failure))
    except Skip as skip:
        return ('skip', str(skip))
    except BaseException:
        return ('fail', f'in a child: {traceback.format_exc(limit=-3)}')


def unwrap(result):
    kind = result[0]
    if kind == 'value':
        return result[1]
    if kind == 'errno':
        raise OSError(result[1], result[2])
    if kind == 'skip':
        raise Skip(result[1])
    raise Fail(result[1])


def _ended(status):
    if os.WIFSIGNALED(status):
        return f'killed by {signal.Signals(os.WTERMSIG(status)).name}'
    return f'exit status {os.WEXITSTATUS(status)}'


def in_child(fn, *args, uid=None):
    """fn(*args) in a forked child, as another user when one is given."""
    here, there = Pipe()
    pid = os.fork()
    if pid == 0:
        try:
            here.close()
            _become(uid)
            there.send(outcome(fn, args))
        finally:
            os._exit(0)
    there.close()
    try:
        result = here.recv()
    except EOFError:
        result = None
    finally:
        here.close()
        _, status = os.waitpid(pid, 0)
    if result is None:
        raise Fail(f'{call_text(fn, args, {})} in a child ended without a result: {_ended(status)}')
    return unwrap(result)


def as_user(uid, fn, *args):
    """fn(*args) as an ordinary user: group of the same number, no supplementary groups, but for MEMBER and MATE."""
    return in_child(fn, *args, uid=uid)


def signal_of(fn, *args):
    """The signal that kills a child which calls fn, or None when it survives."""
    pid = os.fork()
    if pid == 0:
        try:
            fn(*args)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


class Peer:
    """Another process that makes the calls it is given, one at a time, and keeps its descriptors between them.
    The function must be one that pickle can name (os.open, a function of a case module); use as a context manager."""

    def __init__(self, uid=None):
        self._here, there = Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._here.close()
                _become(uid)
                self._serve(there)
            finally:
                os._exit(0)
        there.close()

    @staticmethod
    def _serve(conn):
        while True:
            try:
                fn, args = conn.recv()
            except EOFError:
                return
            conn.send(outcome(fn, args))

    def start(self, fn, *args):
        """Begin a call whose end is awaited with finish()."""
        self._here.send((fn, args))

    def finish(self):
        try:
            return unwrap(self._here.recv())
        except (EOFError, pickle.UnpicklingError):
            raise Fail('the other process ended without a result') from None

    def idle(self, seconds=0.0):
        """Whether the call begun with start() is still going on after this long."""
        return not self._here.poll(seconds)

    def do(self, fn, *args):
        self.start(fn, *args)
        return self.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._here.close()
        # The peer may be inside a call that never ends by itself (a lock that waits).
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def first_done(peers):
    """Of peers with a call under way the one whose call is over first."""
    here = {peer._here: peer for peer in peers}
    return here[wait(list(here))[0]]


# ---- byte-range locks

_FLOCK = 'hhqqi4x'  # struct flock of 64-bit Linux: type, whence, start, len, pid


def lock(fd, kind, start=0, length=0, cmd=None):
    """F_SETLK (or another command) over a range; length 0 reaches to the end whatever it will be."""
    fcntl.fcntl(fd, fcntl.F_SETLK if cmd is None else cmd, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))


def lock_holder(fd, kind, start=0, length=0, cmd=None):
    """F_GETLK: None when the lock could be had, else (type, start, length, pid) of one that is in the way."""
    ask = struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0)
    got = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK if cmd is None else cmd, ask))
    return None if got[0] == fcntl.F_UNLCK else (got[0], got[2], got[3], got[4])
