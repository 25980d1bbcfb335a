# The system calls that Python's standard library has no name for, through the C library.
# Owns: their prototypes and structures. A failure raises OSError with the errno, as os.* does.
# Must not: check anything; that is what the cases are for. Linux only, 64-bit.

import ctypes
import os
import signal

_c = ctypes.CDLL(None, use_errno=True)

UTIME_NOW = 0x3FFFFFFF
UTIME_OMIT = 0x3FFFFFFE
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_STATX_FORCE_SYNC = 0x2000
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
FALLOC_FL_ZERO_RANGE = 16

DT_TYPES = {0: 'unknown', 1: 'fifo', 2: 'chr', 4: 'dir', 6: 'blk', 8: 'reg', 10: 'lnk', 12: 'sock'}


class Timespec(ctypes.Structure):
    _fields_ = [('sec', ctypes.c_int64), ('nsec', ctypes.c_int64)]


class Dirent(ctypes.Structure):
    _fields_ = [
        ('ino', ctypes.c_uint64),
        ('off', ctypes.c_int64),
        ('reclen', ctypes.c_uint16),
        ('type', ctypes.c_uint8),
        ('name', ctypes.c_char * 256),
    ]


def _proto(name, result, *args):
    fn = getattr(_c, name)
    fn.restype = result
    fn.argtypes = args
    return fn


_utimensat = _proto('utimensat', ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(Timespec), ctypes.c_int)
_futimens = _proto('futimens', ctypes.c_int, ctypes.c_int, ctypes.POINTER(Timespec))
_renameat2 = _proto(
    'renameat2', ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_linkat = _proto(
    'linkat', ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int
)
_unlinkat = _proto('unlinkat', ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
_getdents = _proto('getdents64', ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_fallocate = _proto('fallocate', ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_statx = _proto('statx', ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
_prctl = _proto('prctl', ctypes.c_int, ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_opendir = _proto('opendir', ctypes.c_void_p, ctypes.c_char_p)
_readdir = _proto('readdir', ctypes.POINTER(Dirent), ctypes.c_void_p)
_telldir = _proto('telldir', ctypes.c_long, ctypes.c_void_p)
_seekdir = _proto('seekdir', None, ctypes.c_void_p, ctypes.c_long)
_rewinddir = _proto('rewinddir', None, ctypes.c_void_p)
_closedir = _proto('closedir', ctypes.c_int, ctypes.c_void_p)


def _raise(what=''):
    number = ctypes.get_errno()
    raise OSError(number, f'{os.strerror(number)}', what)


def _ok(result, what=''):
    if result < 0:
        _raise(what)
    return result


def _times(atime, mtime):
    def spec(t):
        # A mark (NOW, OMIT) is given as itself, a time as nanoseconds since 1970, negative before it.
        return Timespec(0, t[0]) if isinstance(t, tuple) else Timespec(t // 1_000_000_000, t % 1_000_000_000)

    return (Timespec * 2)(spec(atime), spec(mtime))


NOW = (UTIME_NOW,)
OMIT = (UTIME_OMIT,)


def die_with_parent():
    """Be killed when the parent ends, however it ends (PR_SET_PDEATHSIG)."""
    _ok(_prctl(1, signal.SIGKILL, 0, 0, 0))


def utimensat(path, atime, mtime, follow=True):
    flags = 0 if follow else AT_SYMLINK_NOFOLLOW
    _ok(_utimensat(AT_FDCWD, os.fsencode(path), _times(atime, mtime), flags), path)


def futimens(fd, atime, mtime):
    _ok(_futimens(fd, _times(atime, mtime)))


def renameat2(old, new, flags):
    _ok(_renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags), old)


def link_descriptor(fd, new):
    """Give what a descriptor means one more name (os.link does not follow /proc/self/fd/N)."""
    old = f'/proc/self/fd/{fd}'
    _ok(_linkat(AT_FDCWD, old.encode(), AT_FDCWD, os.fsencode(new), AT_SYMLINK_FOLLOW), new)


def unlinkat(path, flags=0, dirfd=AT_FDCWD):
    _ok(_unlinkat(dirfd, os.fsencode(path), flags), path)


def fallocate(fd, mode, offset, length):
    _ok(_fallocate(fd, mode, offset, length))


def getdents(fd, size):
    """One getdents64 with a buffer of this size: a list of (ino, off, type, name), empty at the end."""
    buffer = ctypes.create_string_buffer(size)
    count = _ok(_getdents(fd, buffer, size))
    entries, at = [], 0
    while at < count:
        ino = int.from_bytes(buffer.raw[at : at + 8], 'little')
        off = int.from_bytes(buffer.raw[at + 8 : at + 16], 'little', signed=True)
        length = int.from_bytes(buffer.raw[at + 16 : at + 18], 'little')
        name = buffer.raw[at + 19 : at + length].split(b'\0', 1)[0]
        entries.append((ino, off, DT_TYPES.get(buffer.raw[at + 18], '?'), os.fsdecode(name)))
        at += length
    return entries


def statx(path, flags=0, mask=0xFFF):
    """The fields of struct statx that the cases look at."""
    buffer = ctypes.create_string_buffer(256)
    _ok(_statx(AT_FDCWD, os.fsencode(path), flags, mask, buffer), path)
    raw = buffer.raw

    def u(at, size):
        return int.from_bytes(raw[at : at + size], 'little')

    return {'mask': u(0, 4), 'nlink': u(16, 4), 'mode': u(28, 2), 'ino': u(32, 8), 'size': u(40, 8)}


class Dir:
    """A DIR stream of the C library: the only way to seekdir and telldir."""

    def __init__(self, path='.'):
        self._dir = _opendir(os.fsencode(path))
        if not self._dir:
            _raise(path)

    def read(self):
        """The next (name, ino, type), or None at the end."""
        ctypes.set_errno(0)
        entry = _readdir(self._dir)
        if not entry:
            if ctypes.get_errno():
                _raise()
            return None
        e = entry.contents
        # d_name may run past the 256 bytes of the structure's own idea; reclen is the truth, NUL the end.
        name = ctypes.string_at(ctypes.addressof(e) + Dirent.name.offset)
        return os.fsdecode(name), e.ino, DT_TYPES.get(e.type, '?')

    def rest(self):
        found = []
        while (entry := self.read()) is not None:
            found.append(entry)
        return found

    def tell(self):
        return _telldir(self._dir)

    def seek(self, position):
        _seekdir(self._dir, position)

    def rewind(self):
        _rewinddir(self._dir)

    def close(self):
        if self._dir:
            _closedir(self._dir)
            self._dir = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
