# What programs do in several steps: lock files, atomic replacement, temporary files, log rotation, unpacking.

import errno
import os
import shutil
import stat
import subprocess
import tempfile

from kit import Peer, Skip, check, equal, exists, get, names, pattern, put, raises, write_all


def lock_file_and_rename():
    """git's way to change a file: write name.lock with O_EXCL, then rename it over name."""
    put('config', b'old')
    fd = os.open('config.lock', os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    raises(errno.EEXIST, os.open, 'config.lock', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    write_all(fd, b'new content')
    os.fchmod(fd, 0o644)
    os.close(fd)
    os.rename('config.lock', 'config')
    equal('content', get('config'), b'new content')
    check(not exists('config.lock'), 'the lock is still there')


def object_file():
    """git's way to add an object: a temporary file with mode 0444, linked to its name, and the first name removed."""
    os.makedirs('objects/ab')
    fd = os.open('objects/ab/tmp_obj', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o444)
    write_all(fd, b'object')
    os.close(fd)
    os.link('objects/ab/tmp_obj', 'objects/ab/cdef')
    os.unlink('objects/ab/tmp_obj')
    equal('content', get('objects/ab/cdef'), b'object')
    equal('link count', os.stat('objects/ab/cdef').st_nlink, 1)
    equal('mode', stat.S_IMODE(os.stat('objects/ab/cdef').st_mode), 0o444)


def lock_by_link():
    """The old way of locking: link(2) to one name succeeds for one process only."""
    with Peer() as one, Peer() as two:
        for i, peer in enumerate((one, two)):
            peer.do(put, f'unique{i}')
        for turn in range(20):
            one.start(_linked, 'unique0', 'lock')
            two.start(_linked, 'unique1', 'lock')
            equal(f'winners of turn {turn}', [one.finish(), two.finish()].count(True), 1)
            os.unlink('lock')


def _linked(source, target):
    try:
        os.link(source, target)
        return True
    except FileExistsError:
        return False


def temporary_file():
    """mkstemp makes files of mode 0600 with names of their own."""
    made = []
    for _ in range(20):
        fd, path = tempfile.mkstemp(dir='.')
        equal('mode', stat.S_IMODE(os.fstat(fd).st_mode), 0o600)
        write_all(fd, path.encode())
        os.close(fd)
        made.append(path)
    equal('names', len(names()), 20)
    for path in made:
        equal('content', get(path), path.encode())


def unnamed_temporary_file():
    """A temporary file that loses its name at once is written, rewound and read."""
    with tempfile.TemporaryFile(dir='.') as file:
        file.write(pattern(300_000))
        file.seek(0)
        check(file.read() == pattern(300_000), 'the content differs')
    equal('names', names(), [])


def replaced_while_it_is_read():
    """A reader that opened before a rename reads the old content to its end, one that opens after it the new."""
    put('a', pattern(500_000, seed=1))
    fd = os.open('a', os.O_RDONLY)
    got = os.read(fd, 100_000)
    put('new', pattern(500_000, seed=2))
    os.rename('new', 'a')
    while part := os.read(fd, 100_000):
        got += part
    os.close(fd)
    check(got == pattern(500_000, seed=1), 'the old reader did not read the old content')
    check(get('a') == pattern(500_000, seed=2), 'a new reader does not read the new content')


def log_rotation():
    """A writer goes on into the renamed log until it opens the new one."""
    fd = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, b'one\n')
    os.rename('log', 'log.1')
    os.write(fd, b'two\n')
    new = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(new, b'three\n')
    os.close(fd)
    os.close(new)
    equal('old log', get('log.1'), b'one\ntwo\n')
    equal('new log', get('log'), b'three\n')


def log_truncated_by_another():
    """A log that is cut to nothing under an appending writer starts at its beginning again."""
    fd = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, b'old line\n' * 100)
    with Peer() as other:
        other.do(os.truncate, 'log', 0)
    os.write(fd, b'new line\n')
    os.close(fd)
    equal('content', get('log'), b'new line\n')


def log_followed():
    """A reader at the end of a file reads what is appended later (tail -f)."""
    put('log', b'one\n')
    reader = os.open('log', os.O_RDONLY)
    equal('first', os.read(reader, 100), b'one\n')
    equal('at the end', os.read(reader, 100), b'')
    with Peer() as writer:
        fd = writer.do(os.open, 'log', os.O_WRONLY | os.O_APPEND)
        for i in range(20):
            writer.do(os.write, fd, b'line %d\n' % i)
            equal(f'read {i}', os.read(reader, 100), b'line %d\n' % i)
    os.close(reader)


def maildir():
    """Delivery into tmp, link or rename into new, move to cur with a flag."""
    for d in ('tmp', 'new', 'cur'):
        os.mkdir(d)
    for i in range(20):
        put(f'tmp/{i}', b'mail %d' % i)
        os.rename(f'tmp/{i}', f'new/{i}')
    for name in names('new'):
        os.rename(f'new/{name}', f'cur/{name}:2,S')
    equal('tmp and new', (names('tmp'), names('new')), ([], []))
    equal('cur', len(names('cur')), 20)
    equal('one of them', get('cur/7:2,S'), b'mail 7')


def copy_with_everything():
    """cp -p keeps mode, times and content; a tree is copied by shutil and compared."""
    os.makedirs('from/sub')
    put('from/a', pattern(70_000), mode=0o640)
    put('from/sub/b', b'b', mode=0o755)
    os.symlink('a', 'from/link')
    os.utime('from/a', ns=(10**18, 10**18 + 5))
    shutil.copytree('from', 'to', symlinks=True)
    equal('link', os.readlink('to/link'), 'a')
    check(get('to/a') == pattern(70_000), 'the copy differs')
    equal('mode', stat.S_IMODE(os.stat('to/a').st_mode), 0o640)
    equal('mtime', os.stat('to/a').st_mtime_ns, 10**18 + 5)
    equal('mode of the other', stat.S_IMODE(os.stat('to/sub/b').st_mode), 0o755)


def tar_round_trip():
    """tar packs and unpacks a tree with hard links, symlinks, read-only directories and old times."""
    os.makedirs('from/ro')
    put('from/a', pattern(30_000))
    os.link('from/a', 'from/hard')
    os.symlink('../a', 'from/ro/soft')
    put('from/ro/f', b'content')
    os.chmod('from/ro', 0o555)
    os.utime('from/a', ns=(10**18, 10**18))
    os.utime('from/ro', ns=(10**18, 10**18))
    os.mkdir('to')
    subprocess.run(['tar', '-cf', 'x.tar', '-C', 'from', '.'], check=True, timeout=20)
    subprocess.run(['tar', '-xpf', 'x.tar', '-C', 'to'], check=True, timeout=20)
    equal('link count', os.stat('to/a').st_nlink, 2)
    equal('symlink', os.readlink('to/ro/soft'), '../a')
    equal('mode of the directory', stat.S_IMODE(os.stat('to/ro').st_mode), 0o555)
    equal('mtime of the directory', os.stat('to/ro').st_mtime, 10**9)
    equal('mtime of the file', os.stat('to/a').st_mtime, 10**9)
    check(get('to/a') == pattern(30_000), 'the content differs')
    equal('content', get('to/ro/f'), b'content')


def in_place_edit():
    """sed -i: a new file beside the old one, with its mode, renamed over it."""
    put('a', b'one\ntwo\n', mode=0o640)
    subprocess.run(['sed', '-i', 's/two/three/', 'a'], check=True, timeout=20)
    equal('content', get('a'), b'one\nthree\n')
    equal('mode', stat.S_IMODE(os.stat('a').st_mode), 0o640)
    equal('names', names(), ['a'])


def shell_redirections():
    """A shell's > and >> and < on one file."""
    script = 'set -C; echo one > a; (echo no > a) 2>/dev/null; set +C; echo two >> a; cat < a > b; : > a'
    subprocess.run(['/bin/sh', '-c', script], check=True, timeout=20)
    equal('b', get('b'), b'one\ntwo\n')
    equal('a', get('a'), b'')


def pid_file():
    """A lock file that is taken, found to be stale, and taken over."""
    put('pid', b'999999\n')
    os.unlink('pid')
    fd = os.open('pid', os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, b'1\n')
    os.close(fd)
    equal('content', get('pid'), b'1\n')


def write_behind_a_closed_parent():
    """A file made through a descriptor of a directory that is closed afterwards stays usable."""
    os.makedirs('a/b')
    top = os.open('a/b', os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644, dir_fd=top)
    os.close(top)
    os.rename('a', 'c')
    os.write(fd, b'content')
    os.close(fd)
    equal('content', get('c/b/f'), b'content')


def hundreds_of_small_files():
    """Three hundred small files are written, read back, and removed."""
    for i in range(300):
        put(f'f{i}', b'content of %d' % i)
    for i in range(300):
        equal(f'content of f{i}', get(f'f{i}'), b'content of %d' % i)
    for i in range(300):
        os.unlink(f'f{i}')
    equal('names', names(), [])


def build_by_time():
    """make rebuilds what is older than its source, and nothing else."""
    if not shutil.which('make'):
        raise Skip('there is no make(1) here')
    put('Makefile', b'out: in\n\tcat in > out\n')
    put('in', b'one')
    subprocess.run(['make', '-s'], check=True, timeout=20)
    equal('first build', get('out'), b'one')
    done = subprocess.run(['make', '-q'], check=False, timeout=20)
    equal('status of make -q when nothing is to do', done.returncode, 0)
    os.utime('out', ns=(10**18, 10**18))
    put('in', b'two')
    subprocess.run(['make', '-s'], check=True, timeout=20)
    equal('second build', get('out'), b'two')


def many_processes_in_one_directory():
    """Eight processes make, fill, rename, read and remove files of their own in one directory, by paths through it."""
    os.makedirs('top/shared')
    peers = [Peer() for _ in range(8)]
    try:
        for i, peer in enumerate(peers):
            peer.start(_busy, f'top/shared/p{i}', 40)
        for peer in peers:
            peer.finish()
    finally:
        for peer in peers:
            peer.__exit__()
    equal('names', names('top/shared'), [])


def _busy(prefix, times):
    for i in range(times):
        path, content = f'{prefix}-{i}', b'%d' % i * 50
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, content)
        os.close(fd)
        os.rename(path, f'{path}-renamed')
        os.mkdir(path)
        equal(f'content of {path}', get(f'{path}-renamed'), content)
        os.stat(os.path.dirname(prefix))
        os.unlink(f'{path}-renamed')
        os.rmdir(path)
