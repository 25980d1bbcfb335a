"""The processes of an exerciser, what they are told on its command line, and what they have to complain of in the end.

A process that was killed complains of that: reading beyond the end of a mapped file is a SIGBUS."""

import argparse
import os
import random
import sys
import traceback


class Wrong(Exception):
    """The file system did something else than the model, or than it promises."""


def arguments(about, ops, processes, settle):
    """The parser, with what an exerciser of several processes takes."""
    parser = argparse.ArgumentParser(description=about.split('\n')[0])
    parser.add_argument('directories', nargs='+', metavar='DIR')
    parser.add_argument('--server', help='where the server keeps the same files')
    parser.add_argument('--coherent', action='store_true', help='the mounts show each other\'s changes at once')
    parser.add_argument('--settle', type=float, default=settle, help='seconds after which the mounts agree')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument('--ops', type=int, default=ops, help='for each process')
    parser.add_argument('--processes', type=int, default=processes)
    return parser


def forked(work):
    """A process at work; the pipe brings what it has to complain of."""
    here, there = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(there)
        return pid, here
    try:
        os.close(here)
        work()
    except Wrong as wrong:
        os.write(there, str(wrong).encode())
    except BaseException:
        os.write(there, traceback.format_exc().encode())
    finally:
        os._exit(0)


def complaints_of(count, work):
    """Has work(number) done by so many processes at once."""
    complaints = []
    for pid, pipe in [forked(lambda number=number: work(number)) for number in range(count)]:
        with os.fdopen(pipe, 'rb') as reader:
            text = reader.read().decode()
        _, status = os.waitpid(pid, 0)
        if status != 0:
            text += f'process {pid} ended with {os.waitstatus_to_exitcode(status)}'
        if text:
            complaints.append(text)
    return complaints


def report(args, complaints):
    """The last words and the exit code."""
    if complaints:
        print(f'seed {args.seed}: ' + '\n'.join(complaints), file=sys.stderr)
        return 1
    print(f'seed {args.seed}: {args.processes} times {args.ops} operations, all as they should be')
    return 0
