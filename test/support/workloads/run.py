#!/usr/bin/python3
# What people run on a file system, each with a proof that it went right: git, tar, sqlite, npm, fio, a sparse file
# beyond 4 GiB, a directory of many entries, unusual names, shared mappings.
#   run.py NAME DIR [--server DIR] [--scratch DIR] [--scale FACTOR]     or  run.py --list
# DIR is an existing directory on the file system under test; the workload makes a sub-directory in it and removes it.
# --server names the same directory as the server sees it: what was written is then compared with what arrived there.
# Prepared data lies in a scratch directory outside, removed as well unless the workload is killed. Exit 0 with one line
# about what was done, else 1 with the reason.
# Must not: need the network, write outside the two directories, or wait without a deadline (the caller has one, too).

import argparse
import inspect
import json
import os
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../posix'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import files  # noqa: E402
import programs  # noqa: E402
from kit import Fail  # noqa: E402
from place import Place  # noqa: E402

# Each with the programs that it cannot do without.
WORKLOADS = (
    (programs.git, ('git',)),
    (programs.tar, ('tar', 'diff')),
    (programs.make, ('make', 'cc')),
    (programs.sqlite_journal, ('sqlite3',)),
    (programs.sqlite_wal, ('sqlite3',)),
    (programs.npm, ('npm',)),
    (programs.fio, ('fio',)),
    (files.sparse, ()),
    (files.many_entries, ('ls', 'find', 'rm')),
    (files.names, ()),
    (files.shared_mappings, ()),
)


def main():
    parser = argparse.ArgumentParser(usage='run.py NAME DIR [--server DIR] [--scratch DIR] [--scale FACTOR] | --list')
    parser.add_argument('name', nargs='?')
    parser.add_argument('directory', nargs='?')
    parser.add_argument('--server', metavar='DIR')
    parser.add_argument('--scratch', metavar='DIR', help='an empty directory for prepared data')
    parser.add_argument('--scale', type=float, default=1.0, metavar='FACTOR')
    parser.add_argument('--list', action='store_true')
    args = parser.parse_args()
    table = {fn.__name__: fn for fn, _ in WORKLOADS}
    if args.list:
        for fn, wants in WORKLOADS:
            missing = [program for program in wants if not shutil.which(program)]
            print(json.dumps({'name': fn.__name__, 'about': inspect.getdoc(fn), 'missing': missing}))
        return 0
    if args.name not in table or not args.directory:
        parser.error(f'NAME is one of {", ".join(table)}, DIR a directory')

    os.umask(0o022)
    label = f'workload-{args.name}-{os.getpid()}'
    directory = os.path.join(os.path.abspath(args.directory), label)
    server = os.path.join(os.path.abspath(args.server), label) if args.server else None
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='ninefs-test-workload-', dir=args.scratch) as scratch:
        try:
            os.mkdir(directory)
            done = table[args.name](Place(directory, server, scratch, args.scale))
            shutil.rmtree(directory)
        except Fail as failure:
            print(f'{args.name}: {failure}', file=sys.stderr)
            return 1
    print(f'{done} ({time.monotonic() - began:.1f} s)')
    return 0


if __name__ == '__main__':
    sys.exit(main())
