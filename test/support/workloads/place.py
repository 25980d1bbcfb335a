# What the workloads share: where they work, how they run a program, how they compare two trees.
# Guarantees: a program that fails or takes too long is a failure that says what it printed.

import filecmp
import hashlib
import os
import stat
import subprocess

from kit import Fail, check, equal

GIB = 1 << 30
MIB = 1 << 20
DEADLINE = 300  # seconds for one program

QUIET = {
    **os.environ,
    'LC_ALL': 'C.UTF-8',
    'GIT_CONFIG_GLOBAL': os.devnull,
    'GIT_CONFIG_NOSYSTEM': '1',
    'GIT_AUTHOR_NAME': 'A',
    'GIT_AUTHOR_EMAIL': 'a@example.org',
    'GIT_AUTHOR_DATE': '1700000000 +0000',
    'GIT_COMMITTER_NAME': 'A',
    'GIT_COMMITTER_EMAIL': 'a@example.org',
    'GIT_COMMITTER_DATE': '1700000000 +0000',
    # The owner that a mount shows may be another than the caller.
    'GIT_CONFIG_COUNT': '3',
    'GIT_CONFIG_KEY_0': 'safe.directory',
    'GIT_CONFIG_VALUE_0': '*',
    'GIT_CONFIG_KEY_1': 'gc.auto',
    'GIT_CONFIG_VALUE_1': '0',
    'GIT_CONFIG_KEY_2': 'protocol.file.allow',
    'GIT_CONFIG_VALUE_2': 'always',
}


class Place:
    """Where a workload works: dir (the file system under test), server (the same directory there, or None), scratch
    (a local directory), and count() for how much of something is wanted."""

    def __init__(self, directory, server, scratch, scale):
        self.dir = directory
        self.server = server
        self.scratch = scratch
        self._scale = scale

    def count(self, full):
        return max(2, round(full * self._scale))

    def there(self, *parts):
        """The same path as the server sees it, or here where nothing is known of the server."""
        return os.path.join(self.server or self.dir, *parts)


def run(*argv, cwd=None, stdin=None):
    """The output of a program that must succeed."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env=QUIET,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode(errors='replace').strip()[-1500:]
        raise Fail(f'{" ".join(argv[:4])} ended with {done.returncode}: {said}')
    return done.stdout.decode(errors='replace')


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def same_tree(one, two):
    """Names, kinds, link texts and bytes of two trees; how many files were compared."""
    files = 0
    for base, dirs, names in os.walk(one):
        other = os.path.join(two, os.path.relpath(base, one))
        equal(f'names in {other}', sorted(os.listdir(other)), sorted(dirs + names))
        for name in dirs + names:
            a, b = os.path.join(base, name), os.path.join(other, name)
            kind = stat.S_IFMT(os.lstat(a).st_mode)
            equal(f'kind of {b}', stat.S_IFMT(os.lstat(b).st_mode), kind)
            if kind == stat.S_IFLNK:
                equal(f'text of {b}', os.readlink(b), os.readlink(a))
            elif kind == stat.S_IFREG:
                check(filecmp.cmp(a, b, shallow=False), f'{b} differs from {a}')
                files += 1
    return files


def arrived(place, name=''):
    """What was written to the file system under test is at the server, byte for byte."""
    if place.server is None:
        return ''
    return (
        f', {same_tree(os.path.join(place.dir, name), os.path.join(place.server, name))} files the same at the server'
    )
