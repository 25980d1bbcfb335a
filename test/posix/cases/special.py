# Fifos, sockets, device nodes, and programs that are executed.

import errno
import os
import shutil
import socket
import stat
import subprocess

from kit import NOBODY, Peer, Skip, as_user, check, equal, executable_here, names, needs, put, raises, read_all


def fifo_between_two_processes():
    """What one process writes into a fifo another one reads, in order, and then the end."""
    os.mkfifo('p', 0o644)
    check(stat.S_ISFIFO(os.stat('p').st_mode), 'p is not a fifo')
    with Peer() as writer:
        writer.start(_write_fifo, 'p')
        fd = os.open('p', os.O_RDONLY)
        equal('read', read_all(fd), b'one two three')
        os.close(fd)
        writer.finish()
    equal('size afterwards', os.stat('p').st_size, 0)


def _write_fifo(path):
    fd = os.open(path, os.O_WRONLY)
    for part in (b'one ', b'two ', b'three'):
        os.write(fd, part)
    os.close(fd)


def fifo_without_a_reader():
    """O_NONBLOCK: opening to write without a reader says ENXIO, opening to read works at once."""
    os.mkfifo('p')
    raises(errno.ENXIO, os.open, 'p', os.O_WRONLY | os.O_NONBLOCK)
    reader = os.open('p', os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open('p', os.O_WRONLY | os.O_NONBLOCK)
    os.write(writer, b'content')
    equal('read', os.read(reader, 100), b'content')
    os.close(writer)
    os.close(reader)


def fifo_renamed_and_linked():
    """A fifo can be renamed, linked and removed like a file."""
    os.mkfifo('p')
    os.link('p', 'q')
    equal('link count', os.stat('p').st_nlink, 2)
    os.rename('p', 'r')
    reader = os.open('r', os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open('q', os.O_WRONLY | os.O_NONBLOCK)
    os.write(writer, b'through the other name')
    equal('read', os.read(reader, 100), b'through the other name')
    os.close(writer)
    os.close(reader)
    os.unlink('r')
    os.unlink('q')


def fifo_over_an_existing_name():
    """EEXIST."""
    put('f')
    raises(errno.EEXIST, os.mkfifo, 'f')


def mknod_of_a_regular_file():
    """mknod with S_IFREG makes an empty file, without being root."""
    os.mknod('f', stat.S_IFREG | 0o640)
    st = os.stat('f')
    check(stat.S_ISREG(st.st_mode), f'mode {st.st_mode:o}')
    equal('mode and size', (stat.S_IMODE(st.st_mode), st.st_size), (0o640, 0))
    put('f', b'content')


@needs('mknod')
def device_nodes():
    """Character and block devices keep their type and their numbers (they are not opened)."""
    for i, (kind, major, minor) in enumerate(
        ((stat.S_IFCHR, 1, 3), (stat.S_IFBLK, 7, 0), (stat.S_IFCHR, 240, 70_000), (stat.S_IFBLK, 259, 1_048_575))
    ):
        os.mknod(f'n{i}', kind | 0o600, os.makedev(major, minor))
        st = os.stat(f'n{i}')
        equal('type', stat.S_IFMT(st.st_mode), kind)
        equal('numbers', (os.major(st.st_rdev), os.minor(st.st_rdev)), (major, minor))


@needs('mknod')
def device_renamed():
    """A device keeps its numbers under another name."""
    os.mknod('null', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.rename('null', 'void')
    equal('numbers', os.stat('void').st_rdev, os.makedev(1, 3))


@needs('multiuser')
def device_by_a_user():
    """An ordinary user may not make a device: EPERM."""
    os.chmod('.', 0o777)
    raises(errno.EPERM, as_user, NOBODY, os.mknod, 'n', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    equal('names', names(), [])


def unix_socket():
    """A socket is bound to a name, connected to by another process, and removed."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind('sock')
        server.listen(1)
        server.settimeout(20)
        check(stat.S_ISSOCK(os.stat('sock').st_mode), 'sock is not a socket')
        raises(errno.EADDRINUSE, socket.socket(socket.AF_UNIX).bind, 'sock')
        with Peer() as other:
            other.start(_say_hello, 'sock')
            connection, _ = server.accept()
            connection.settimeout(20)
            equal('received', connection.recv(100), b'hello')
            connection.close()
            other.finish()
    raises(errno.ECONNREFUSED, socket.socket(socket.AF_UNIX).connect, 'sock')
    os.unlink('sock')


def _say_hello(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b'hello')


def socket_opened():
    """open(2) of a socket says ENXIO."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind('sock')
    raises(errno.ENXIO, os.open, 'sock', os.O_RDONLY)


def script():
    """A script with an interpreter line runs, with its arguments."""
    executable_here()
    put('script', b'#!/bin/sh\necho "$0 $1"\nexit 7\n', mode=0o755)
    done = subprocess.run(['./script', 'word'], stdout=subprocess.PIPE, timeout=20, check=False)
    equal('output', done.stdout, b'./script word\n')
    equal('exit status', done.returncode, 7)


def binary():
    """A copied program runs (its pages come through a private mapping)."""
    executable_here()
    program = shutil.which('true')
    if not program:
        raise Skip('there is no true(1) here')
    shutil.copyfile(os.path.realpath(program), 'copy')
    os.chmod('copy', 0o755)
    # Some builds are one binary of many names that looks at the name it is called by.
    done = subprocess.run(['true'], executable='./copy', timeout=20, check=False)
    equal('exit status', done.returncode, 0)


def program_replaced_after_it_ran():
    """A program that ran and was replaced by rename runs in its new form."""
    executable_here()
    for turn in range(3):
        put('new', b'#!/bin/sh\nexit %d\n' % (10 + turn), mode=0o755)
        os.rename('new', 'prog')
        equal('exit status', subprocess.run(['./prog'], timeout=20, check=False).returncode, 10 + turn)


def program_without_x():
    """execve of a file without any x bit says EACCES, for root too."""
    put('prog', b'#!/bin/sh\nexit 0\n', mode=0o644)
    raises(errno.EACCES, os.execv, 'prog', ['prog'])


def program_while_open_for_writing():
    """A script is read by its interpreter while another descriptor has it open for writing."""
    executable_here()
    put('script', b'exit 5\n')
    fd = os.open('script', os.O_RDWR)
    equal('exit status', subprocess.run(['/bin/sh', 'script'], timeout=20, check=False).returncode, 5)
    os.close(fd)
