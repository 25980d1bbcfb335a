# Programs that people run on a file system: git, tar, sqlite, npm, fio.
# Every one of them checks its own work (fsck, diff -r, integrity_check, crc32c), and is checked at the server as well.

import io
import json
import os
import random
import shutil
import stat
import tarfile

from kit import Peer, equal
from place import MIB, arrived, digest, run


def _history(count, commits=4):
    """A git fast-import stream: files in directories of 50, some changed by every later commit."""
    rng = random.Random(2)
    out = io.BytesIO()
    for commit in range(commits):
        out.write(b'commit refs/heads/main\ncommitter A <a@example.org> %d +0000\n' % (1_700_000_000 + commit))
        out.write(b'data 8\ncommit %d\n' % commit)
        for i in range(count):
            if commit and i % 10 != commit:
                continue
            text = b''.join(
                b'line %d of file %d %x\n' % (n, i, rng.getrandbits(64)) for n in range(rng.randrange(1, 60))
            )
            mode = b'100755' if i % 97 == 0 else b'100644'
            out.write(b'M %s inline dir%d/sub%d/file%d.txt\ndata %d\n' % (mode, i // 250, i // 50 % 5, i, len(text)))
            out.write(text + b'\n')
        if commit == 0:
            out.write(b'M 120000 inline link\ndata 19\ndir0/sub0/file0.txt\n')
    return out.getvalue()


def git(place):
    """git clone, fsck, change, commit, branch, gc and fsck of a repository of thousands of files."""
    count = place.count(2000)
    origin, clone = f'{place.scratch}/origin.git', f'{place.dir}/clone'
    run('git', 'init', '-q', '--bare', '-b', 'main', origin)
    run('git', 'fast-import', '--quiet', cwd=origin, stdin=_history(count))
    run('git', 'clone', '-q', f'file://{origin}', clone)
    equal('files', len(run('git', 'ls-files', cwd=clone).splitlines()), count + 1)
    run('git', 'fsck', '--full', '--strict', '--no-progress', cwd=clone)
    equal('status of a fresh clone', run('git', 'status', '--porcelain', cwd=clone), '')
    run('git', 'checkout', '-q', '-b', 'topic', 'HEAD~2', cwd=clone)
    for i in range(0, count, max(1, count // 50)):
        with open(f'{clone}/dir{i // 250}/sub{i // 50 % 5}/file{i}.txt', 'a', encoding='utf-8') as file:
            file.write('one line more\n')
    run('git', 'commit', '-q', '-a', '-m', 'change', cwd=clone)
    run('git', 'checkout', '-q', 'main', cwd=clone)
    run('git', 'gc', '-q', '--prune=now', cwd=clone)
    run('git', 'fsck', '--full', '--strict', '--no-progress', cwd=clone)
    equal('status after gc', run('git', 'status', '--porcelain', cwd=clone), '')
    equal('loose objects after gc', run('git', 'count-objects', cwd=clone).split()[0], '0')
    run('git', 'push', '-q', 'origin', 'topic', cwd=clone)
    run('git', 'fsck', '--full', '--strict', '--no-progress', cwd=origin)
    if place.server:
        run('git', 'fsck', '--full', '--strict', '--no-progress', cwd=place.there('clone'))
    return f'{count} files cloned, changed and packed{arrived(place)}'


# ---- tar


def tar(place):
    """tar out of a tree with links, modes and old times, diff -r against what was packed, and packed again."""
    count = place.count(600)
    rng = random.Random(3)
    source, target = f'{place.scratch}/tree', f'{place.dir}/tree'
    for i in range(count):
        base = f'{source}/d{i % 20}/e{i % 7}'
        os.makedirs(base, exist_ok=True)
        path = f'{base}/f{i}'
        with open(path, 'wb') as file:
            file.write(rng.randbytes(rng.choice((0, 1, 100, 4095, 4096, 4097, 30_000, 150_000))))
        os.chmod(path, rng.choice((0o644, 0o600, 0o755, 0o444)))
        if i % 10 == 0:
            os.symlink(f'f{i}', f'{base}/s{i}')
            os.link(path, f'{base}/h{i}')
        os.utime(path, ns=(10**18, 10**18 + i * 1_000_000_007))
    archive = f'{place.scratch}/tree.tar'
    run('tar', '--format=pax', '-cf', archive, '-C', source, '.')
    os.mkdir(target)
    run('tar', '-xpf', archive, '-C', target)
    run('diff', '-r', '--no-dereference', source, target)
    for base, _, names in os.walk(source):
        for name in names:
            a, b = os.lstat(f'{base}/{name}'), os.lstat(os.path.join(target, os.path.relpath(base, source), name))
            # The times of a symlink are no tar's main concern, and not every server can set them.
            times = () if stat.S_ISLNK(a.st_mode) else ('st_mtime_ns',)
            for field in ('st_mode', 'st_size', 'st_nlink', *times):
                equal(f'{field} of {base}/{name}', getattr(b, field), getattr(a, field))
    again = f'{place.scratch}/again.tar'
    run('tar', '--format=pax', '-cf', again, '-C', target, '.')
    back = f'{place.scratch}/back'
    os.mkdir(back)
    run('tar', '-xpf', again, '-C', back)
    run('diff', '-r', '--no-dereference', source, back)
    return f'{count} files out, compared, and in again{arrived(place)}'


# ---- make


def make(place):
    """make -j of a C program of many files with generated headers, run; a header changed and made again; made clean."""
    count = place.count(100)
    base = f'{place.dir}/program'
    os.makedirs(f'{base}/src')
    for i in range(count):
        with open(f'{base}/src/part{i}.c', 'w', encoding='utf-8') as file:
            file.write(f'#include <stdio.h>\n#include "../gen/sizes.h"\nint part{i}(void) {{ return SIZE_{i}; }}\n')
    with open(f'{base}/src/main.c', 'w', encoding='utf-8') as file:
        file.write('#include <stdio.h>\n' + ''.join(f'int part{i}(void);\n' for i in range(count)))
        total = ' + '.join(f'part{i}()' for i in range(count))
        file.write(f'int main(void) {{ printf("%d\\n", {total}); return 0; }}\n')
    with open(f'{base}/first', 'w', encoding='utf-8') as file:
        file.write('1\n')
    names = ' '.join(f'obj/part{i}.o' for i in range(count))
    with open(f'{base}/Makefile', 'w', encoding='utf-8') as file:
        file.write(
            f'program: obj/main.o {names}\n\t$(CC) -o $@ $^\n'
            'obj/%.o: src/%.c gen/sizes.h\n\t@mkdir -p obj\n\t$(CC) -c -O1 -o $@ $<\n'
            'gen/sizes.h: first\n\t@mkdir -p gen\n'
            f'\tfor i in $$(seq 0 {count - 1}); do echo "#define SIZE_$$i ($$i + $$(cat first))"; done > $@\n'
            'clean:\n\trm -r obj gen program\n'
        )
    for first in (1, 5):
        with open(f'{base}/first', 'w', encoding='utf-8') as file:
            file.write(f'{first}\n')
        run('make', '-s', '-j4', cwd=base)
        equal('what the program says', run(f'{base}/program'), f'{sum(range(count)) + first * count}\n')
    equal('make with nothing to do', run('make', '-q', cwd=base), '')
    said = arrived(place)
    run('make', '-s', 'clean', cwd=base)
    equal('what is left', sorted(os.listdir(base)), ['Makefile', 'first', 'src'])
    return f'{count} files compiled and linked, twice{said}'


# ---- sqlite


def _sqlite(database, script):
    return run('sqlite3', '-batch', '-bail', '-cmd', '.timeout 60000', database, stdin=script.encode())


def _insert_rows(database, who, transactions):
    script = ''.join(
        f"begin immediate; insert into t(who, n, blob) values('{who}', {i}, hex(randomblob(200))); "
        f'update total set n = n + 1; commit;\n'
        for i in range(transactions)
    )
    _sqlite(database, script)


def _one_database(place, mode):
    database = f'{place.dir}/{mode}.db'
    transactions = place.count(40)
    equal('journal mode', _sqlite(database, f'pragma journal_mode={mode};').strip(), mode)
    _sqlite(
        database,
        'create table t(id integer primary key, who text, n integer, blob text); create index i on t(who, n);'
        'create table total(n integer); insert into total values(0);',
    )
    with Peer() as one, Peer() as two:
        one.start(_insert_rows, database, 'one', transactions)
        two.start(_insert_rows, database, 'two', transactions)
        one.finish()
        two.finish()
    # A large transaction that is rolled back, and one that stays, so that pages move through journal and checkpoint.
    bulk = (
        'insert into t(who, n, blob) with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000)'
        ' select "bulk", n, hex(randomblob(100)) from c;'
    ).replace('"', "'")
    _sqlite(database, f'begin; {bulk} rollback;')
    _sqlite(database, f"begin; {bulk} commit; delete from t where n % 3 = 0 and who = 'bulk'; vacuum;")
    counts = (
        'select (select n from total), (select count(*) from t where who <> "bulk"),'
        ' (select count(*) from t where who = "bulk");'
    ).replace('"', "'")
    want = f'{2 * transactions}|{2 * transactions}|2000'
    equal('integrity', _sqlite(database, 'pragma integrity_check;').strip(), 'ok')
    equal('counts', _sqlite(database, counts).strip(), want)
    if place.server:
        equal('file at the server', digest(place.there(f'{mode}.db')), digest(database))
        copy = f'{place.scratch}/{mode}.db'
        shutil.copyfile(place.there(f'{mode}.db'), copy)
        equal('integrity at the server', _sqlite(copy, 'pragma integrity_check;').strip(), 'ok')
        equal('counts at the server', _sqlite(copy, counts).strip(), want)
    return transactions


def sqlite_journal(place):
    """sqlite with the rollback journal: two writers at once, a rollback, a vacuum, integrity_check."""
    return f'two writers with {_one_database(place, "delete")} transactions each, integrity ok'


def sqlite_wal(place):
    """The same with the write-ahead log, whose index is a shared mapping."""
    return f'two writers with {_one_database(place, "wal")} transactions each, integrity ok'


# ---- npm


def _package(path, name, version, dependencies, files):
    manifest = {'name': name, 'version': version, 'main': 'index.js', 'dependencies': dependencies}
    manifest['bin'] = {f'say-{name}': 'say.js'}
    every = {
        'package.json': json.dumps(manifest),
        'index.js': f"module.exports = '{name}@{version}';\n",
        'say.js': f"#!/usr/bin/env node\nconsole.log('{name} says', require('./index.js'));\n",
        **{f'lib/{i // 20}/m{i}.js': f'module.exports = {i};\n' for i in range(files)},
    }
    with tarfile.open(path, 'w:gz') as archive:
        for member, text in every.items():
            info = tarfile.TarInfo(f'package/{member}')
            info.size, info.mode = len(text), 0o755 if member == 'say.js' else 0o644
            archive.addfile(info, io.BytesIO(text.encode()))


def npm(place):
    """npm install and npm ci of a project whose packages are local archives, and the project run."""
    project = f'{place.dir}/project'
    os.makedirs(f'{project}/archives')
    packages = [f'pkg{i}' for i in range(place.count(6))]
    for name in packages:
        _package(f'{project}/archives/{name}.tgz', name, '1.0.0', {}, files=place.count(40))
    manifest = {
        'name': 'project',
        'version': '1.0.0',
        'private': True,
        'dependencies': {name: f'file:archives/{name}.tgz' for name in packages},
        'scripts': {'start': f'say-{packages[0]} && node main.js'},
    }
    with open(f'{project}/package.json', 'w', encoding='utf-8') as file:
        json.dump(manifest, file)
    with open(f'{project}/main.js', 'w', encoding='utf-8') as file:
        file.write(f'for (const n of {json.dumps(packages)}) console.log(require(n), require(n + "/lib/0/m1.js"));\n')
    flags = (
        '--offline',
        '--no-audit',
        '--no-fund',
        '--no-update-notifier',
        f'--cache={place.scratch}/npm',
        '--loglevel=error',
    )
    run('npm', 'install', *flags, cwd=project)
    run('npm', 'ci', *flags, cwd=project)
    said = run('npm', 'start', *flags, '--loglevel=silent', cwd=project)
    want = [f'{packages[0]} says {packages[0]}@1.0.0', *(f'{name}@1.0.0 1' for name in packages)]
    equal('output', said.splitlines(), want)
    return f'{len(packages)} packages installed twice{arrived(place)}'


# ---- fio


def fio(place):
    """fio: random writes of mixed sizes by two jobs, every block verified by its crc32c."""
    size = place.count(16 * MIB) // 4096 * 4096
    for engine, extra in (('psync', ()), ('mmap', ())):
        run(
            *('fio', f'--name={engine}', f'--directory={place.dir}', '--rw=randwrite', f'--ioengine={engine}'),
            *(
                '--bsrange=4k-128k',
                '--numjobs=2',
                f'--size={size}',
                '--fallocate=none',
                '--randseed=7',
                '--group_reporting',
            ),
            *('--verify=crc32c', '--verify_fatal=1', '--do_verify=1', '--verify_state_save=0', '--output-format=terse'),
            *extra,
            cwd=place.scratch,
        )
    return f'four files of {size // MIB} MiB written and verified{arrived(place)}'
