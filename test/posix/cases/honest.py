# Attributes right after a call that changes them: by every name of the file and by a descriptor that was open before, the
# same link count, size, mode and times, and a ctime that has moved on, where the file system keeps parts of a second.

import os

from kit import check, equal, in_child, put, tick

SHOWN = ('st_ino', 'st_nlink', 'st_size', 'st_mode', 'st_uid', 'st_gid', 'st_mtime_ns', 'st_ctime_ns')


def _shown(st):
    return {name: getattr(st, name) for name in SHOWN}


def _advanced(what, before, after):
    if before % 10**9 == 0 and after % 10**9 == 0:
        check(after >= before, f'{what} went back from {before} to {after}')
    else:
        check(after > before, f'{what} did not advance from {before}')


class _Linked:
    """A file with two names, a and d/b, open for reading and writing, whose attributes everybody has looked at."""

    def __init__(self):
        put('a', b'content')
        os.mkdir('d')
        os.link('a', 'd/b')
        self.fd = os.open('a', os.O_RDWR)
        self.names = ['a', 'd/b']
        self.before = self.seen()
        tick()

    def seen(self):
        """The attributes, which all its names and the descriptor must agree on."""
        st = os.fstat(self.fd)
        for name in self.names:
            equal(f'attributes of {name} beside those of the descriptor', _shown(os.stat(name)), _shown(st))
        return st

    def moved(self, nlink=2, size=7):
        """The same, after a change."""
        # by name first: what a descriptor asks for may be kept for the names
        names = [_shown(os.stat(name)) for name in self.names]
        st = self.seen()
        for name, shown in zip(self.names, names, strict=True):
            equal(f'the first look at {name} beside a later one', shown, _shown(st))
        _advanced('ctime', self.before.st_ctime_ns, st.st_ctime_ns)
        equal('link count', st.st_nlink, nlink)
        equal('size', st.st_size, size)
        equal('inode', st.st_ino, self.before.st_ino)
        os.close(self.fd)
        return st


def after_a_write():
    """A write through a descriptor shows by both names."""
    file = _Linked()
    os.pwrite(file.fd, b'more', 100)
    st = file.moved(size=104)
    _advanced('mtime', file.before.st_mtime_ns, st.st_mtime_ns)


def after_a_write_by_the_other_name():
    """A write through one name shows by the other, and by a descriptor of it."""
    file = _Linked()
    fd = os.open('d/b', os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'more')
    os.close(fd)
    st = file.moved(size=11)
    _advanced('mtime', file.before.st_mtime_ns, st.st_mtime_ns)


def _append(path):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'more')
    os.close(fd)


def after_a_write_by_another_process():
    """The same where another process writes."""
    file = _Linked()
    in_child(_append, 'd/b')
    file.moved(size=11)


def after_a_truncate():
    """truncate(2) by one name shows by the other."""
    file = _Linked()
    os.truncate('d/b', 3)
    st = file.moved(size=3)
    _advanced('mtime', file.before.st_mtime_ns, st.st_mtime_ns)


def after_an_ftruncate():
    """ftruncate(2) shows by both names, past 4 GiB too."""
    file = _Linked()
    os.ftruncate(file.fd, (1 << 32) + 5)
    st = file.moved(size=(1 << 32) + 5)
    _advanced('mtime', file.before.st_mtime_ns, st.st_mtime_ns)


def after_an_open_that_truncates():
    """O_TRUNC by one name shows by the other."""
    file = _Linked()
    os.close(os.open('d/b', os.O_WRONLY | os.O_TRUNC))
    file.moved(size=0)


def after_a_chmod():
    """chmod by one name shows by the other, and moves no mtime."""
    file = _Linked()
    os.chmod('d/b', 0o604)
    st = file.moved()
    equal('mode', st.st_mode & 0o7777, 0o604)
    equal('mtime', st.st_mtime_ns, file.before.st_mtime_ns)


def after_setting_times():
    """utimensat by one name shows by the other."""
    file = _Linked()
    os.utime('d/b', ns=(10**18 + 1, 10**18 + 3))
    want = 10**18 + 3
    mtime = file.moved().st_mtime_ns
    equal('mtime', mtime, want if mtime % 10**9 else 10**18)


def after_a_link():
    """A third name shows in the link count of all."""
    file = _Linked()
    os.link('d/b', 'c')
    file.names.append('c')
    file.moved(nlink=3)


def after_an_unlink():
    """A name less shows in the link count of the others."""
    file = _Linked()
    os.unlink('d/b')
    file.names.remove('d/b')
    file.moved(nlink=1)


def after_the_last_unlink():
    """Without a name the link count is 0."""
    file = _Linked()
    for name in file.names:
        os.unlink(name)
    file.names.clear()
    file.moved(nlink=0)


def after_a_rename():
    """A new name has the same file, with a new ctime that the other name shows as well."""
    file = _Linked()
    os.rename('a', 'c')
    file.names[0] = 'c'
    file.moved()


def after_a_rename_over_it():
    """Replacing one name of a file takes a link from it, as its other name and the descriptor show."""
    file = _Linked()
    put('new', b'another')
    os.rename('new', 'a')
    file.names.remove('a')
    file.moved(nlink=1)
    equal('size of what took the name', os.stat('a').st_size, 7)
    check(os.stat('a').st_ino != file.before.st_ino, 'what took the name has the inode of what was there')


def after_a_rename_between_its_names():
    """Renaming one name of a file to another does nothing (rename(2))."""
    file = _Linked()
    os.rename('a', 'd/b')
    equal('link count', file.seen().st_nlink, 2)
    os.close(file.fd)


def directories_after_what_happens_in_them():
    """What is made, renamed and removed in a directory moves its mtime and ctime, and its link count where it has one."""
    os.mkdir('one')
    os.mkdir('two')

    def stamps():
        return [os.stat(name).st_mtime_ns for name in ('one', 'two')] + [
            os.stat(name).st_ctime_ns for name in ('one', 'two')
        ]

    def advances(what, call, *args, who=(0, 1)):
        before = stamps()
        tick()
        call(*args)
        after = stamps()
        for i in who:
            _advanced(f'{what}: mtime of directory {i}', before[i], after[i])
            _advanced(f'{what}: ctime of directory {i}', before[i + 2], after[i + 2])

    advances('create', put, 'one/f', who=(0,))
    advances('mkdir', os.mkdir, 'one/d', who=(0,))
    advances('link', os.link, 'one/f', 'two/g', who=(1,))
    advances('rename', os.rename, 'one/f', 'two/f')
    advances('rename of a directory', os.rename, 'one/d', 'two/d')
    advances('unlink', os.unlink, 'two/f', who=(1,))
    advances('rmdir', os.rmdir, 'two/d', who=(1,))
    equal('link count without subdirectories', os.stat('two').st_nlink, os.stat('one').st_nlink)
