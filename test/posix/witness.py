# What files look like, so that what a call did to one of them, and to others that it must leave alone, is compared.
# Owns: the looks (kind, mode, owner, time of modification, user.* attributes, content) of files and trees, their
# differences in words, and the making of files that differ in all of that.
# Guarantees: a difference says "FIELD of PATH: expected X, got Y", and all of them are told, not the first alone.
# Must not: keep anything between two looks; look at times of access, which reading moves.

import errno
import os
import stat
import time
from typing import NamedTuple

from kit import Fail, errname, put, shown

NOW = 'about now'  # the time of something that a call has just changed
SLACK = 60_000_000_000  # nanoseconds that the clocks of a server and of this machine may differ by
SECOND = 1_000_000_000


class Marks(NamedTuple):
    """What a file is made with. Times are whole seconds, which every dialect can say."""

    content: bytes
    mode: int
    mtime: int
    attribute: bytes
    owner: int | None = None


def mark(path, marks):
    """Give a file or directory its mode, attribute, owner (only root can) and, last of all, its times."""
    os.chmod(path, marks.mode)
    try:
        os.setxattr(path, 'user.x', marks.attribute)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # there are none here, and none to be told apart by
            raise
    if marks.owner is not None and os.geteuid() == 0:
        os.chown(path, marks.owner, marks.owner)
    os.utime(path, ns=(marks.mtime, marks.mtime))


def make(path, marks):
    put(path, marks.content)
    mark(path, marks)


def _attributes(fd):
    try:
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd) if name.startswith('user.')}
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}


def _content(fd):
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b''.join(parts)


def _inside(fd, kind, readable):
    """What only a descriptor shows, without looking the path up for each."""
    look = {'attributes': _attributes(fd)}
    if kind == stat.S_IFREG and readable:
        look['content'] = _content(fd)
    return look


def look_of(target, readable=True):
    """How one file or directory looks, by its path or by a descriptor of it."""
    by_fd = isinstance(target, int)
    seen = os.fstat(target) if by_fd else os.lstat(target)
    kind = stat.S_IFMT(seen.st_mode)
    look = {'kind': kind}
    if kind == stat.S_IFREG:
        look['size'] = seen.st_size
    if kind == stat.S_IFLNK:
        look['target'] = os.readlink(target)
    elif by_fd:
        look |= _inside(target, kind, readable)
    elif kind != stat.S_IFIFO:
        fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            look |= _inside(fd, kind, readable)
        finally:
            os.close(fd)
    return {
        **look,
        'mode': stat.S_IMODE(seen.st_mode),
        'owner': seen.st_uid,
        'group': seen.st_gid,
        'mtime': seen.st_mtime_ns,
    }


def tree_of(top, without=()):
    """How everything below a directory looks, by its path from there. What is at the paths of `without` is left out."""
    looks, todo = {}, ['']
    while todo:
        below = todo.pop()
        for name in os.listdir(os.path.join(top, below)):
            path = os.path.join(below, name)
            if os.path.join(top, path) in without:
                continue
            looks[path] = look_of(os.path.join(top, path))
            if stat.S_ISDIR(looks[path]['kind']):
                todo.append(path)
    return looks


def of_new(kind, mode, **more):
    """How something looks that the caller has just made."""
    return {'kind': kind, **more, 'mode': mode, 'owner': os.geteuid(), 'group': os.getegid(), 'mtime': NOW}


def of_new_file(content):
    return of_new(stat.S_IFREG, 0o644, size=len(content), content=content, attributes={})


def of_new_directory():
    return of_new(stat.S_IFDIR, 0o755, attributes={})


def _same(field, want, got):
    if field == 'mtime' and want == NOW:
        return abs(time.time_ns() - got) < SLACK
    return want == got


def _told(field, value):
    if field == 'mode':
        return f'{value:04o}'
    if field == 'mtime' and value != NOW:
        return f'{value // SECOND}.{value % SECOND:09}'
    if field == 'content' and len(value) > 30:
        return f'{value[:30]}... ({len(value)} bytes)'
    return shown(value)


def differences(path, want, got, ignored=()):
    """In which fields one look of a file differs from another. A field that only one of them has does not count."""
    fields = [field for field in want if field in got and field not in ignored]
    return [
        f'{field} of {path}: expected {_told(field, want[field])}, got {_told(field, got[field])}'
        for field in fields
        if not _same(field, want[field], got[field])
    ]


def tree_differences(want, got, ignored=(), ignored_of_directories=()):
    """The differences of two trees, beginning with names that only one of them has."""
    found = [f'{path}: expected to be there, but it is gone' for path in sorted(want.keys() - got.keys())]
    found += [f'{path}: expected nothing, but it is there' for path in sorted(got.keys() - want.keys())]
    for path in sorted(want.keys() & got.keys()):
        also = ignored_of_directories if stat.S_ISDIR(got[path]['kind']) else ()
        found += differences(path, want[path], got[path], (*ignored, *also))
    return found


def complaints(step, *args):
    """Do it, and tell what went wrong instead of ending the case: what the call did to others is still to be seen."""
    try:
        step(*args)
    except Fail as failure:
        return [str(failure)]
    except OSError as error:
        return [f'unexpected {errname(error.errno)} ({error})' if error.errno else f'unexpected {error!r}']
    return []
