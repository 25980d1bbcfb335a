# Files and directories of unusual size, name or use: sparse beyond 4 GiB, many entries, many scripts, shared mappings.

import hashlib
import mmap
import os
import random

from kit import Peer, check, equal
from place import GIB, MIB, arrived, run


def sparse(place):
    """A file of 5 GiB with data around 2 GiB, 4 GiB and its end, read back in whole stretches across the borders."""
    path = f'{place.dir}/sparse'
    rng = random.Random(5)
    marks = {at: rng.randbytes(300_000) for at in (0, 2 * GIB - 150_000, 4 * GIB - 150_001, 5 * GIB - 300_000)}
    with open(path, 'wb', buffering=0) as file:
        file.truncate(5 * GIB)
        for at, data in marks.items():
            equal(f'written at {at}', os.pwrite(file.fileno(), data, at), len(data))
    equal('size', os.stat(path).st_size, 5 * GIB)
    stretch = place.count(8 * MIB)
    for where in dict.fromkeys((path, place.there('sparse'))):
        equal(f'size of {where}', os.stat(where).st_size, 5 * GIB)
        with open(where, 'rb', buffering=0) as file:
            for at, data in marks.items():
                start = max(0, at - stretch)
                file.seek(start)
                got = bytearray()
                while len(got) < at - start + len(data) + stretch and (part := file.read(MIB)):
                    got += part
                check(got[at - start : at - start + len(data)] == data, f'{where}: the data at {at} differ')
                zeros = got[: at - start].count(0) + got[at - start + len(data) :].count(0)
                equal(f'{where}: zeros around the data at {at}', zeros, len(got) - len(data))
            file.seek(3 * GIB + 12345)
            equal(f'{where}: in the middle of a hole', file.read(10_000), bytes(10_000))
    with open(path, 'ab', buffering=0) as file:
        file.write(b'the end')
    equal('size after appending', os.stat(place.there('sparse')).st_size, 5 * GIB + 7)
    with open(place.there('sparse'), 'rb') as file:
        file.seek(5 * GIB)
        equal('appended', file.read(), b'the end')
    os.truncate(path, 4 * GIB + 1)
    equal('size after cutting', os.stat(place.there('sparse')).st_size, 4 * GIB + 1)
    return f'5 GiB with data in {len(marks)} places'


def many_entries(place):
    """A directory of 20,000 entries: listed, listed with stat, renamed into and within, and emptied by rm."""
    count = place.count(20_000)
    rng = random.Random(6)
    # Made at the server where there is one: to list them is the point, not to make them.
    many = place.there('many')
    os.mkdir(many)
    wanted = {f'entry {i:05d} {"x" * rng.randrange(40)}' for i in range(count)}
    for i, name in enumerate(sorted(wanted)):
        # Links to a file of each thousand: as good an entry as a file of its own, and several times cheaper to make.
        if i % 1000 == 0:
            first = os.path.join(many, name)
            with open(first, 'x', encoding='utf-8') as file:
                file.write(str(i))
        else:
            os.link(first, os.path.join(many, name))
    here = f'{place.dir}/many'
    equal('listing', sorted(os.listdir(here)) == sorted(wanted), True)
    with os.scandir(here) as listing:
        equal('entries that are files', sum(entry.is_file(follow_symlinks=False) for entry in listing), count)
    equal('lines of ls -l', len(run('ls', '-l', here).splitlines()), count + 1)
    os.mkdir(f'{place.dir}/side')
    moved = place.count(200)
    for i in range(moved):
        with open(f'{place.dir}/side/in{i}', 'x', encoding='utf-8') as file:
            file.write('moved in')
        os.rename(f'{place.dir}/side/in{i}', f'{here}/moved{i}')
    for name in sorted(wanted)[:moved]:
        os.rename(f'{here}/{name}', f'{here}/renamed {name}')
        wanted = wanted - {name} | {f'renamed {name}'}
    wanted |= {f'moved{i}' for i in range(moved)}
    equal('listing after the renames', sorted(os.listdir(here)) == sorted(wanted), True)
    equal('listing at the server', sorted(os.listdir(many)) == sorted(wanted), True)
    run('find', here, '-type', 'f', '-name', 'renamed *', '-delete')
    equal('entries after find -delete', len(os.listdir(here)), count)
    run('rm', '-r', here)
    check(not os.path.exists(many), 'the directory is still there')
    return f'{count} entries listed, {2 * moved} renamed, all removed'


def names(place):
    """Names of 255 bytes and in many scripts, for files, directories and links, seen exactly so by the server."""
    made = [
        'n' * 255,
        'ü' * 127 + 'x',
        '日本語' * 28 + 'abc',
        '😀' * 63 + 'abc',
        'файл с пробелами',
        'עברית',
        'العربية',
        'a\u0301',
        'á',
    ]
    made += [
        'new\nline',
        'tab\there',
        'back\\slash',
        '%2F',
        '*?[x]',
        'quote\'"',
        ' leading',
        'trailing ',
        '...',
        '-rf',
        '\x01\x7f',
    ]
    made += [f'{i:03d}' + 'é' * 126 for i in range(place.count(100))]
    for i, name in enumerate(made):
        os.mkdir(f'{place.dir}/d{i}')
        path = f'{place.dir}/d{i}/{name}'
        with open(path, 'xb') as file:
            file.write(name.encode())
        os.mkdir(f'{place.dir}/{name}')
        os.rename(path, f'{place.dir}/{name}/{name}')
        os.symlink(name, path)
    top = [os.fsencode(name) for name in made] + [b'd%d' % i for i in range(len(made))]
    for where in dict.fromkeys((place.dir, place.there())):
        equal(f'names in {where}', sorted(os.listdir(os.fsencode(where))) == sorted(top), True)
        for i, name in enumerate(made):
            with open(f'{where}/{name}/{name}', 'rb') as file:
                equal(f'content of {name}', file.read(), name.encode())
            equal(f'link {i}', os.readlink(f'{where}/d{i}/{name}'), name)
    return f'{len(made)} names{arrived(place)}'


_maps = {}


def _map(path, size):
    with open(path, 'r+b') as file:
        _maps[path] = mmap.mmap(file.fileno(), size, mmap.MAP_SHARED)


def _store(path, seed, start, size, steps):
    """Stores of odd sizes into one stretch of the mapping, synced now and then; the digest of the stretch."""
    rng, shared = random.Random(seed), _maps[path]
    for step in range(steps):
        data = rng.randbytes(rng.randrange(1, 9000))
        at = start + rng.randrange(size - len(data))
        shared[at : at + len(data)] = data
        if step % 50 == 0:
            shared.flush()
    return hashlib.sha256(shared[start : start + size]).hexdigest()


def _unmap(path):
    _maps[path].flush()
    _maps.pop(path).close()


def shared_mappings(place):
    """Two processes store into two halves of one shared mapping; what they stored is read back, and at the server."""
    path, half = f'{place.dir}/mapped', place.count(4 * MIB) // 4096 * 4096
    with open(path, 'xb') as file:
        file.truncate(2 * half)
    with Peer() as one, Peer() as two:
        for peer in (one, two):
            peer.do(_map, path, 2 * half)
        one.start(_store, path, 1, 0, half, place.count(400))
        two.start(_store, path, 2, half, half, place.count(400))
        want = [one.finish(), two.finish()]
        for peer in (one, two):
            peer.do(_unmap, path)
    for where in dict.fromkeys((path, place.there('mapped'))):
        with open(where, 'rb') as file:
            got = [hashlib.sha256(file.read(half)).hexdigest() for _ in want]
        equal(f'halves of {where}', got, want)
    return f'two halves of {half // 1024} KiB{arrived(place)}'
