# Extended attributes of the user namespace: values, flags, lists, limits.

import ctypes
import errno
import os

from kit import NOBODY, as_user, check, equal, needs, pattern, put, raises, tick


@needs('xattr')
def set_and_get():
    """A value comes back exactly; an attribute that is not there says ENODATA."""
    put('a')
    os.setxattr('a', 'user.one', b'value\0with\nbytes\xff')
    equal('value', os.getxattr('a', 'user.one'), b'value\0with\nbytes\xff')
    raises(errno.ENODATA, os.getxattr, 'a', 'user.two')


@needs('xattr')
def empty_value():
    """An attribute may be empty, which is not the same as not being there."""
    put('a')
    os.setxattr('a', 'user.empty', b'')
    equal('value', os.getxattr('a', 'user.empty'), b'')
    equal('list', os.listxattr('a'), ['user.empty'])


@needs('xattr')
def replaced():
    """Setting again replaces the value, by a longer and by a shorter one."""
    put('a')
    for value in (b'first', b'second and longer', b'3', b''):
        os.setxattr('a', 'user.x', value)
        equal('value', os.getxattr('a', 'user.x'), value)
    equal('list', os.listxattr('a'), ['user.x'])


@needs('xattr')
def listed():
    """The list has every name once."""
    put('a')
    equal('list of none', os.listxattr('a'), [])
    want = [f'user.attribute{i}' for i in range(20)]
    for name in want:
        os.setxattr('a', name, name.encode())
    equal('list', sorted(os.listxattr('a')), sorted(want))


@needs('xattr')
def name_not_utf8():
    """An attribute's name may be any bytes: it is set, listed and removed as it is, and another one is another."""
    put('a')
    one, other = os.fsdecode(b'user.\xff'), os.fsdecode(b'user.caf\xe9')
    os.setxattr('a', one, b'1')
    os.setxattr('a', other, b'2')
    equal('list', sorted(os.listxattr('a')), sorted([one, other]))
    equal('values', (os.getxattr('a', one), os.getxattr('a', other)), (b'1', b'2'))
    raises(errno.ENODATA, os.getxattr, 'a', os.fsdecode(b'user.\xfe'))
    raises(errno.ENODATA, os.getxattr, 'a', 'user.\ufffd')
    os.removexattr('a', one)
    equal('list', os.listxattr('a'), [other])


@needs('xattr')
def removed():
    """A removed attribute is gone; removing one that is not there says ENODATA."""
    put('a')
    os.setxattr('a', 'user.x', b'1')
    os.setxattr('a', 'user.y', b'2')
    os.removexattr('a', 'user.x')
    raises(errno.ENODATA, os.getxattr, 'a', 'user.x')
    raises(errno.ENODATA, os.removexattr, 'a', 'user.x')
    equal('list', os.listxattr('a'), ['user.y'])


@needs('xattr')
def create_flag():
    """XATTR_CREATE says EEXIST when the attribute is there, and leaves it."""
    put('a')
    os.setxattr('a', 'user.x', b'1', os.XATTR_CREATE)
    raises(errno.EEXIST, os.setxattr, 'a', 'user.x', b'2', os.XATTR_CREATE)
    equal('value', os.getxattr('a', 'user.x'), b'1')


@needs('xattr')
def replace_flag():
    """XATTR_REPLACE says ENODATA when the attribute is not there, and makes none."""
    put('a')
    raises(errno.ENODATA, os.setxattr, 'a', 'user.x', b'1', os.XATTR_REPLACE)
    equal('list', os.listxattr('a'), [])
    os.setxattr('a', 'user.x', b'1')
    os.setxattr('a', 'user.x', b'2', os.XATTR_REPLACE)
    equal('value', os.getxattr('a', 'user.x'), b'2')


@needs('xattr')
def buffer_too_small():
    """getxattr and listxattr into too small a buffer say ERANGE; with size 0 they tell the size."""
    libc = ctypes.CDLL(None, use_errno=True)
    put('a')
    os.setxattr('a', 'user.x', b'0123456789')

    def call(fn, *args):
        got = fn(*args)
        if got < 0:
            raise OSError(ctypes.get_errno(), fn.__name__)
        return got

    buffer = ctypes.create_string_buffer(9)
    equal('size of the value', call(libc.getxattr, b'a', b'user.x', None, 0), 10)
    raises(errno.ERANGE, call, libc.getxattr, b'a', b'user.x', buffer, 9)
    equal('size of the list', call(libc.listxattr, b'a', None, 0), len('user.x') + 1)
    raises(errno.ERANGE, call, libc.listxattr, b'a', buffer, 3)


@needs('xattr')
def large_value():
    """A value of 2,000 bytes is kept."""
    put('a')
    value = pattern(2000)
    os.setxattr('a', 'user.large', value)
    check(os.getxattr('a', 'user.large') == value, 'the value differs')


@needs('xattr')
def value_too_large():
    """A value of more than 64 KiB says E2BIG; a name of more than 255 bytes ERANGE or ENAMETOOLONG."""
    put('a')
    raises(errno.E2BIG, os.setxattr, 'a', 'user.x', bytes(65537))
    raises((errno.ERANGE, errno.ENAMETOOLONG), os.setxattr, 'a', 'user.' + 'n' * 251, b'1')
    equal('list', os.listxattr('a'), [])


@needs('xattr')
def long_name():
    """A name of 255 bytes, the prefix included, is kept."""
    put('a')
    name = 'user.' + 'n' * 250
    os.setxattr('a', name, b'value')
    equal('value', os.getxattr('a', name), b'value')
    equal('list', os.listxattr('a'), [name])


@needs('xattr')
def name_not_ascii():
    """A name beyond ASCII comes back as it was."""
    put('a')
    os.setxattr('a', 'user.größe', b'1')
    equal('list', os.listxattr('a'), ['user.größe'])
    equal('value', os.getxattr('a', 'user.größe'), b'1')


@needs('xattr')
def of_a_directory():
    """Directories have attributes too."""
    os.mkdir('d')
    os.setxattr('d', 'user.x', b'1')
    equal('value', os.getxattr('d', 'user.x'), b'1')


@needs('xattr')
def of_a_symlink():
    """A symlink is followed; on the link itself user.* is refused with EPERM."""
    put('target')
    os.symlink('target', 's')
    os.setxattr('s', 'user.x', b'1')
    equal('value at the target', os.getxattr('target', 'user.x'), b'1')
    raises((errno.EPERM, errno.EOPNOTSUPP), os.setxattr, 's', 'user.x', b'1', follow_symlinks=False)


@needs('xattr')
def by_descriptor():
    """fsetxattr, fgetxattr, flistxattr and fremovexattr work, on an unlinked file too."""
    put('a')
    fd = os.open('a', os.O_RDWR)
    os.setxattr(fd, 'user.x', b'1')
    equal('value', os.getxattr(fd, 'user.x'), b'1')
    equal('list', os.listxattr(fd), ['user.x'])
    os.unlink('a')
    equal('value after unlink', os.getxattr(fd, 'user.x'), b'1')
    os.removexattr(fd, 'user.x')
    equal('list after remove', os.listxattr(fd), [])
    os.close(fd)


@needs('xattr')
def survives_rename_and_link():
    """Attributes belong to the file, not to its name."""
    put('a')
    os.setxattr('a', 'user.x', b'1')
    os.link('a', 'b')
    os.rename('a', 'c')
    equal('by the other link', os.getxattr('b', 'user.x'), b'1')
    equal('by the new name', os.getxattr('c', 'user.x'), b'1')


@needs('xattr')
def not_of_the_next_file():
    """A new file under an old name has no attributes of the old one."""
    put('a')
    os.setxattr('a', 'user.x', b'1')
    os.unlink('a')
    put('a')
    equal('list', os.listxattr('a'), [])


@needs('xattr')
def moves_ctime():
    """Setting an attribute gives a new ctime and leaves mtime."""
    put('a')
    old = os.stat('a')
    tick()
    os.setxattr('a', 'user.x', b'1')
    new = os.stat('a')
    check(new.st_ctime_ns > old.st_ctime_ns, f'ctime did not advance from {old.st_ctime_ns}')
    equal('mtime', new.st_mtime_ns, old.st_mtime_ns)


@needs('xattr')
def unknown_namespace():
    """A name without a known prefix says EOPNOTSUPP."""
    put('a')
    raises((errno.EOPNOTSUPP, errno.EINVAL), os.setxattr, 'a', 'nonsense.x', b'1')
    raises((errno.EOPNOTSUPP, errno.EINVAL, errno.ENODATA), os.getxattr, 'a', 'nonsense.x')


@needs('xattr', 'multiuser')
def permissions():
    """Reading needs r, setting needs w: EACCES (EPERM on a directory of a stranger's sticky kind aside)."""
    put('a', mode=0o644)
    os.setxattr('a', 'user.x', b'1')
    equal('read by others', as_user(NOBODY, os.getxattr, 'a', 'user.x'), b'1')
    raises(errno.EACCES, as_user, NOBODY, os.setxattr, 'a', 'user.x', b'2')
    os.chmod('a', 0o600)
    raises(errno.EACCES, as_user, NOBODY, os.getxattr, 'a', 'user.x')
    os.chmod('a', 0o666)
    as_user(NOBODY, os.setxattr, 'a', 'user.x', b'3')
    equal('value', os.getxattr('a', 'user.x'), b'3')
