# What is done in a directory in the cases of identity_dirs.py: relative to a descriptor that was opened before, or to
# the working directory. Both are `at` of the scene (None is the working directory).
# A row says what to do, and how the tree of the directory (its paths and their looks; '' is the directory itself) must
# look afterwards: `want` changes the one that was there before. Times of directories are not compared there.
# Must not: know in which situation it is used, beyond what the scene tells (at, itself, path, ino).

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace

import libc
from kit import OTHER, TEAM, equal, names, raises, read_all, write_all
from witness import NOW, of_new, of_new_directory, of_new_file

LATER = 13 * 10**17


def _nothing(_):
    """There is nothing to do."""


@dataclass(frozen=True)
class Act:
    about: str
    do: Callable  # with the scene
    want: Callable = _nothing  # changes the tree to what it must be
    before: Callable = _nothing  # with the scene, before anything is renamed
    needs: tuple = ()
    hold: str = 'descriptor'  # or 'cwd'


def in_cwd(acts):
    """The acts without a descriptor, with the directory as the working one."""
    return {
        f'{name}_in_cwd': replace(act, hold='cwd', about=f'with it as the working directory, {act.about}')
        for name, act in acts.items()
    }


def _use(scene, name, flags, step, mode=0o644):
    fd = os.open(name, flags, mode, dir_fd=scene.at)
    try:
        return step(fd)
    finally:
        os.close(fd)


def _make(name):
    return lambda s: _use(s, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, lambda fd: write_all(fd, b'new'))


def _made(name):
    return lambda tree: tree.update({name: of_new_file(b'new')})


def _filled(name, content):
    return lambda tree: tree[name].update(content=content, size=len(content), mtime=NOW)


def _set(name, **fields):
    return lambda tree: tree[name].update(fields)


def _without(name):
    return lambda tree: tree.pop(name)


def _look_around(scene):
    """What is there is found, and what is only in the other directory is not."""
    equal('content of f', _use(scene, 'f', os.O_RDONLY, read_all), scene.content)
    raises(errno.ENOENT, os.stat, 'theirs', dir_fd=scene.at)
    raises(errno.EEXIST, _make('ours'), scene)
    raises(errno.ENOENT, os.stat, 'sub/theirs', dir_fd=scene.at)
    equal('size of sub/deep', os.stat('sub/deep', dir_fd=scene.at).st_size, 4)


def _list(scene):
    equal('listing', names(scene.itself), scene.names)


def _list_rest(scene):
    """A listing that began before goes on to the end of the same directory."""
    found = scene.begun
    while part := libc.getdents(scene.fd, 80):
        found += part
    equal('listing', sorted(name for *_, name in found), sorted(['.', '..', *scene.names]))


def _begin_list(scene):
    scene.fd = scene.at if scene.at is not None else os.open('.', os.O_RDONLY | os.O_DIRECTORY)
    scene.begun = libc.getdents(scene.fd, 80)


def _list_by_proc(scene):
    equal('listing', names(f'/proc/self/{scene.proc}/.'), scene.names)
    equal('names in sub', names(f'/proc/self/{scene.proc}/sub'), ['deep'])


def _dots(scene):
    equal('inode of .', os.stat('.', dir_fd=scene.at).st_ino, scene.ino)
    above = os.stat(os.path.dirname(scene.path)).st_ino
    equal('inode of ..', os.stat('..', dir_fd=scene.at).st_ino, above)
    equal('inode of sub/..', os.stat('sub/..', dir_fd=scene.at).st_ino, scene.ino)


def _where(scene):
    want = os.path.normpath(os.path.join(scene.start, scene.path))
    if scene.at is None:
        equal('working directory', os.getcwd(), want)
        return
    os.fchdir(scene.at)
    equal('working directory', os.getcwd(), want)
    os.chdir(scene.start)


def _rename(old, new):
    return lambda s: os.rename(old, new, src_dir_fd=s.at, dst_dir_fd=s.at)


def _renamed(old, new):
    return lambda tree: tree.update({new: tree.pop(old)})


def _move_out(scene):
    os.rename('f', f'{scene.top}/out', src_dir_fd=scene.at)
    with open(f'{scene.top}/out', 'rb') as file:
        equal('content of what was moved out', file.read(), scene.content)
    os.unlink(f'{scene.top}/out')


def _move_in(scene):
    with open(f'{scene.top}/new', 'xb') as file:
        file.write(b'new')
    os.rename(f'{scene.top}/new', 'new', dst_dir_fd=scene.at)


def _link(scene):
    os.link('f', 'hard', src_dir_fd=scene.at, dst_dir_fd=scene.at)


def _linked(tree):
    tree['hard'] = tree['f']


def _replace(scene):
    _make('new')(scene)
    _rename('new', 'f')(scene)


def _replaced(tree):
    tree['f'] = of_new_file(b'new')


def _chown(scene):
    os.chown('f', OTHER, TEAM, dir_fd=scene.at)


ACTS = {
    'names': Act('what is in it is found there, and nothing else', _look_around),
    'list': Act('it is listed', _list),
    'list_again': Act('it is listed, as it was before', _list, before=_list),
    'list_on': Act('a listing that had begun goes on', _list_rest, before=_begin_list),
    'list_by_proc': Act('it is listed by way of /proc/self', _list_by_proc),
    'dots': Act('. and .. are what they should be', _dots),
    'getcwd': Act('getcwd tells its new path', _where),
    'create': Act('a file is made', _make('new'), _made('new')),
    'create_by_proc': Act(
        'a file is made by way of /proc/self',
        lambda s: _make(f'/proc/self/{s.proc}/new')(s),
        _made('new'),
    ),
    'create_deep': Act('a file is made in a directory below', _make('sub/new'), _made('sub/new')),
    'write': Act(
        'a file in it is written',
        lambda s: _use(s, 'f', os.O_WRONLY | os.O_TRUNC, lambda fd: write_all(fd, b'new')),
        _filled('f', b'new'),
    ),
    'append_deep': Act(
        'a file below is appended to',
        lambda s: _use(s, 'sub/deep', os.O_WRONLY | os.O_APPEND, lambda fd: write_all(fd, b'+')),
        _filled('sub/deep', b'deep+'),
    ),
    'mkdir': Act(
        'a directory is made',
        lambda s: os.mkdir('new', 0o755, dir_fd=s.at),
        lambda tree: tree.update(new=of_new_directory()),
    ),
    'rmdir': Act('a directory is removed', lambda s: os.rmdir('empty', dir_fd=s.at), _without('empty')),
    'unlink': Act('a file is unlinked', lambda s: os.unlink('f', dir_fd=s.at), _without('f')),
    'unlink_deep': Act('a file below is unlinked', lambda s: os.unlink('sub/deep', dir_fd=s.at), _without('sub/deep')),
    'rename': Act('a file is renamed', _rename('f', 'g'), _renamed('f', 'g')),
    'rename_directory': Act('a directory is renamed', _rename('empty', 'full'), _renamed('empty', 'full')),
    'replace': Act('a file is made and renamed over another', _replace, _replaced),
    'move_out': Act('a file is moved out of it', _move_out, _without('f')),
    'move_in': Act('a file is moved into it', _move_in, _made('new')),
    'link': Act('a file is linked', _link, _linked),
    'symlink': Act(
        'a symlink is made',
        lambda s: os.symlink('f', 'soft', dir_fd=s.at),
        lambda tree: tree.update(soft=of_new(stat.S_IFLNK, 0o777, target='f')),
    ),
    'mkfifo': Act(
        'a FIFO is made',
        lambda s: os.mkfifo('pipe', 0o600, dir_fd=s.at),
        lambda tree: tree.update(pipe=of_new(stat.S_IFIFO, 0o600)),
    ),
    'chmod': Act('a file gets another mode', lambda s: os.chmod('f', 0o600, dir_fd=s.at), _set('f', mode=0o600)),
    'chown': Act(
        'a file gets another owner', _chown, _set('f', owner=OTHER, group=TEAM), needs=('root',)
    ),
    'utimens': Act(
        'a file gets other times',
        lambda s: os.utime('f', ns=(LATER, LATER), dir_fd=s.at),
        _set('f', mtime=LATER),
    ),
    'fchmod': Act('it gets another mode itself', lambda s: os.chmod(s.itself, 0o700), _set('', mode=0o700)),
    'fchown': Act(
        'it gets another owner itself',
        lambda s: os.chown(s.itself, OTHER, TEAM),
        _set('', owner=OTHER, group=TEAM),
        needs=('root',),
    ),
    'futimens': Act(
        'it gets other times itself', lambda s: os.utime(s.itself, ns=(LATER, LATER)), _set('', mtime=LATER)
    ),
    'fsetxattr': Act(
        'it gets an attribute itself',
        lambda s: os.setxattr(s.itself, 'user.x', b'other'),
        _set('', attributes={'user.x': b'other'}),
        needs=('xattr',),
    ),
    'fsync': Act('it is synced', lambda s: _use(s, '.', os.O_RDONLY, os.fsync)),
}


# ---- in a directory that has been removed


def _nothing_to_make(scene):
    raises(errno.ENOENT, _make('new'), scene)
    raises(errno.ENOENT, os.mkdir, 'new', dir_fd=scene.at)
    raises(errno.ENOENT, os.symlink, 'f', 'new', dir_fd=scene.at)
    raises(errno.ENOENT, os.rename, f'{scene.top}/elsewhere', 'new', dst_dir_fd=scene.at)


def _nothing_to_find(scene):
    raises(errno.ENOENT, os.stat, 'f', dir_fd=scene.at)
    raises(errno.ENOENT, os.unlink, 'f', dir_fd=scene.at)
    raises(errno.ENOENT, os.rmdir, 'empty', dir_fd=scene.at)


def _or_gone(step):
    """A file system may have forgotten a directory that has no name any more, but must not take another one for it."""

    def do(scene):
        try:
            step(scene)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise

    return do


def _nothing_to_list(scene):
    equal('listing', names(scene.itself), [])


def _fstat(scene):
    equal('inode', os.stat(scene.itself).st_ino, scene.ino)


GONE = {
    'make': Act('nothing is made in it', _nothing_to_make),
    'names': Act('nothing is found in it', _nothing_to_find),
    'list': Act('it is empty', _or_gone(_nothing_to_list)),
    'fstat': Act('it is itself', _or_gone(_fstat)),
    'fchmod': Act('it gets another mode', _or_gone(lambda s: os.chmod(s.itself, 0o700))),
    'fchown': Act('it gets another owner', _or_gone(lambda s: os.chown(s.itself, OTHER, TEAM)), needs=('root',)),
    'futimens': Act('it gets other times', _or_gone(lambda s: os.utime(s.itself, ns=(LATER, LATER)))),
    'fsetxattr': Act(
        'it gets an attribute', _or_gone(lambda s: os.setxattr(s.itself, 'user.x', b'other')), needs=('xattr',)
    ),
    'fsync': Act('it is synced', _or_gone(lambda s: _use(s, '.', os.O_RDONLY, os.fsync))),
}

ACTS_IN_CWD, GONE_IN_CWD = in_cwd(ACTS), in_cwd(GONE)
