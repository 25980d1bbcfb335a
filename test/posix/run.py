#!/usr/bin/python3
# Runs the cases of test/posix/cases on a directory: one behaviour of a POSIX file system each.
#   run.py DIR [--json] [--only NAME,...] [--exclude-file FILE]... [--require KIND,...] [--timeout SECONDS] [--jobs N]
#   run.py --list [--json]
# Every case runs in a process of its own whose working directory is a fresh empty one, so a hang, a crash or a
# changed uid stays with the case. One line a case; exit 1 when one failed, 2 for a usage error.
#
# An exclusion file has one case a line, or a shell pattern of cases, `name  # reason`; both parts are compulsory. An
# excluded case is run all the same and must fail: when it passes, the exclusion is stale and that is the failure.
# `-name  # reason` does not run it at all, for what takes the server down with it or is decided by chance.
# `~name  # reason` runs it and takes either outcome, for servers of which versions differ. A case that several lines
# match has the reason of the first, and of several files the first that names it decides: a server's own goes before
# that of its dialect. Empty lines and lines of `#` are ignored.
# Must not: import anything outside the standard library and this folder; touch the directory from this process
# (a file system that hangs may only catch a child).

import argparse
import errno
import fnmatch
import importlib
import inspect
import json
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import kit  # noqa: E402
import libc  # noqa: E402
from kit import Fail, Skip  # noqa: E402

GIVE_UP_AFTER = 3  # timed-out cases: a file system that hangs is not worth half a minute for each of the others
PROBE = 30.0  # seconds for finding out what is there
GRACE = 2.0  # seconds for a killed child to go before it counts as stuck


def load_cases():
    """name -> function, in the order of the files and of the lines."""
    found = {}
    for module_info in sorted(pkgutil.iter_modules([os.path.join(HERE, 'cases')]), key=lambda m: m.name):
        module = importlib.import_module(f'cases.{module_info.name}')
        own = [
            fn
            for name, fn in vars(module).items()
            if inspect.isfunction(fn) and fn.__module__ == module.__name__ and not name.startswith('_')
        ]
        for fn in sorted(own, key=lambda f: f.__code__.co_firstlineno):
            for case in getattr(fn, 'rows', [fn]):
                found[f'{module_info.name}.{case.__name__}'] = case
    return found


def usage(message):
    print(f'run.py: {message}', file=sys.stderr)
    sys.exit(2)


def read_exclusions(path, known):
    """name -> (reason, what is expected of it: 'failure', 'nothing' or 'either')"""
    found = {}
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            name, hash_mark, reason = line.partition('#')
            name, reason = name.strip(), reason.strip()
            expected = {'-': 'nothing', '~': 'either'}.get(name[:1], 'failure')
            name = name.lstrip('-~').strip()
            if not hash_mark or not reason:
                usage(f'{path}:{number}: {name} is excluded without a reason (name  # reason)')
            hits = fnmatch.filter(known, name)
            if not hits:
                usage(f'{path}:{number}: there is no case named {name}')
            if found.keys() >= set(hits):
                usage(f'{path}:{number}: {name} is listed twice')
            for hit in hits:
                found.setdefault(hit, (reason, expected))
    return found


def choose(patterns, known):
    if patterns is None:
        return list(known)
    chosen = []
    for pattern in filter(None, patterns.split(',')):
        hits = [n for n in known if fnmatch.fnmatchcase(n, pattern) or n.split('.', 1)[0] == pattern]
        if not hits:
            usage(f'no case matches {pattern}; --list shows them all')
        chosen += [n for n in hits if n not in chosen]
    return chosen


# ---- one case in a child


def make_removable(top):
    """A case may leave directories that their owner cannot list or empty; root does not need this."""
    if os.geteuid() == 0:
        return
    os.chmod(top, 0o700)
    with os.scandir(top) as entries:
        below = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
    for path in below:
        make_removable(path)


def last_own_line(error):
    """Where in the cases an exception came from."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(os.path.join(HERE, 'cases'))]
    return f' at {os.path.basename(own[-1].filename)}:{own[-1].lineno}: {own[-1].line}' if own else ''


def guarded(step):
    """(status, message) of one step of a case."""
    try:
        step()
        return ('ok', '')
    except Fail as failure:
        return ('fail', f'{failure}{last_own_line(failure)}')
    except Skip as skip:
        return ('skip', str(skip))
    except OSError as error:
        name = kit.errname(error.errno) if error.errno else type(error).__name__
        return ('fail', f'unexpected {name} ({error}){last_own_line(error)}')
    except BaseException as error:
        return ('fail', f'{type(error).__name__}: {error}{last_own_line(error)}')


def remove_tree(top):
    """Empty and remove. A file system that hides removed open files under other names (NFS, libfuse) drops them some
    time after the last close has returned, and tells nobody when: that directory alone is tried again for a second."""
    make_removable(top)
    for _ in range(50):
        try:
            return shutil.rmtree(top)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            time.sleep(0.02)
    shutil.rmtree(top)


def run_here(directory, fn, report):
    """Set up, run and clear away; the result of the case, or what went wrong around it."""
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def enter():
        os.mkdir(directory, 0o755)
        os.chdir(directory)

    def leave():
        os.chdir('/')
        # A case need not close what it opened: that is done here, before its files are removed.
        os.closerange(3, report)
        os.closerange(report + 1, 4096)
        remove_tree(directory)

    status, message = guarded(enter)
    if status != 'ok':
        return ('fail', f'making the directory of the case: {message}')
    result = guarded(fn)
    status, message = guarded(leave)
    if result[0] == 'ok' and status != 'ok':
        return ('fail', f'clearing away what the case made: {message}')
    return result


def process_state(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
            state = file.read().rpartition(')')[2].split()[0]
        with open(f'/proc/{pid}/wchan', encoding='utf-8') as file:
            where = file.read() or '?'
        return f'state {state} in {where}'
    except OSError as error:
        return f'state unknown ({error.strerror})'


def wait_for_end(pidfd, seconds):
    """Whether the process of this pidfd ended in time."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


class Isolated:
    """fn run in a forked child with a deadline."""

    def __init__(self, directory, fn, seconds):
        self.seconds = seconds
        self.began = time.monotonic()
        self._reader, writer = os.pipe()
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._work(directory, fn, writer)
        os.close(writer)
        self.pidfd = os.pidfd_open(self._pid)

    def _work(self, directory, fn, writer):
        code = 1
        try:
            os.close(self._reader)
            os.setpgid(0, 0)
            libc.die_with_parent()
            # What a case prints would be mixed with the report.
            os.dup2(2, 1)
            status, message = run_here(directory, fn, writer)
            # One write that a pipe takes whole, so that the parent need not read while it waits.
            os.write(writer, json.dumps((status, message[:4000])).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def left(self):
        """Seconds until its deadline."""
        return max(0, self.began + self.seconds - time.monotonic())

    def finish(self):
        """(status, message), when it has ended or its deadline has passed."""
        try:
            ended = wait_for_end(self.pidfd, 0)
            where = '' if ended else process_state(self._pid)
            try:
                # The group also holds whatever children the case left running.
                os.killpg(self._pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nobody is left, which is what was wanted
            if not ended:
                if wait_for_end(self.pidfd, GRACE):
                    os.waitpid(self._pid, 0)
                    return ('hang', f'timed out after {self.seconds:g} s ({where})')
                return ('hang', f'timed out after {self.seconds:g} s and cannot be killed, left behind ({where})')
            _, status = os.waitpid(self._pid, 0)
            result = os.read(self._reader, 65536)
            if result:
                return tuple(json.loads(result))
            how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            return ('fail', f'the process of the case ended without a result: {how}')
        finally:
            os.close(self.pidfd)
            os.close(self._reader)


def first_ended(running):
    """One of them that has ended, or whose deadline has passed."""
    poller = select.poll()
    for each in running:
        poller.register(each.pidfd, select.POLLIN)
    ended = {fd for fd, _ in poller.poll(min(each.left() for each in running) * 1000 + 1)}
    return next((each for each in running if each.pidfd in ended or each.left() == 0), None)


# ---- what the directory and the caller can do


def _capable(bit):
    with open('/proc/self/status', encoding='utf-8') as file:
        line = next(text for text in file if text.startswith('CapEff:'))
    return bool(int(line.split()[1], 16) >> bit & 1)


def _probe_root():
    if os.geteuid() != 0:
        raise Skip('the caller is not root')


def _probe_mknod():
    if not _capable(27):  # CAP_MKNOD
        raise Skip('the caller may not make device nodes')


def _probe_multiuser():
    _probe_root()
    try:
        kit.as_user(kit.NOBODY, os.listdir, '.')
    except OSError as error:
        raise Skip(f'other users cannot enter the directory ({kit.errname(error.errno)})') from None


def _probe_xattr():
    kit.put('probe')
    try:
        os.setxattr('probe', 'user.probe', b'x')
    except OSError as error:
        raise Skip(f'no user.* attributes here ({kit.errname(error.errno)})') from None


def _probe_locks():
    fd = os.open('probe', os.O_RDWR | os.O_CREAT, 0o644)
    try:
        kit.lock(fd, 1)
    except OSError as error:
        raise Skip(f'no byte-range locks here ({kit.errname(error.errno)})') from None
    finally:
        os.close(fd)


PROBES = {
    'root': _probe_root,
    'mknod': _probe_mknod,
    'multiuser': _probe_multiuser,
    'xattr': _probe_xattr,
    'locks': _probe_locks,
}


class Runner:
    """One run: what is missing is probed once, when a case first needs it."""

    def __init__(self, directory, seconds, required):
        self._directory = directory
        self._seconds = seconds
        self._required = required
        self._missing = {}
        self._hangs = 0

    def _start(self, label, fn, seconds):
        return Isolated(os.path.join(self._directory, f'case-{os.getpid()}-{label}'), fn, seconds)

    def _finish(self, child):
        status, message = child.finish()
        if status == 'hang':
            self._hangs += 1
            return ('fail', message)
        return (status, message)

    def isolated(self, label, fn, seconds=PROBE):
        child = self._start(label, fn, seconds)
        wait_for_end(child.pidfd, seconds)
        return self._finish(child)

    def missing(self, kind):
        if kind not in self._missing:
            status, message = self.isolated(f'probe-{kind}', PROBES[kind])
            self._missing[kind] = None if status == 'ok' else message
        return self._missing[kind]

    def _without_running(self, fn, exclusion):
        """Its result where that is known before."""
        if exclusion and exclusion[1] == 'nothing':
            return ('excluded', exclusion[0])
        for kind in getattr(fn, 'needs', ()):
            reason = self.missing(kind)
            if reason:
                return ('fail', f'{kind} is required: {reason}') if kind in self._required else ('skip', reason)
        if self._hangs >= GIVE_UP_AFTER:
            return ('fail', f'not run: {self._hangs} cases before it did not come to an end')
        return None

    def run(self, chosen, exclusions, jobs):
        """Yields (name, status, message, seconds) of (name, function) as they end, `jobs` of them at a time."""
        running = {}
        waiting = list(reversed(chosen))
        while waiting or running:
            if waiting and len(running) < jobs:
                name, fn = waiting.pop()
                known = self._without_running(fn, exclusions.get(name))
                if known:
                    yield (name, *known, 0.0)
                else:
                    running[self._start(name, fn, self._seconds)] = name
                continue
            child = first_ended(running)
            if child is None:
                continue
            name = running.pop(child)
            took = time.monotonic() - child.began
            yield (name, *self._judged(self._finish(child), exclusions.get(name)), took)

    def _judged(self, result, exclusion):
        if not exclusion or result[0] == 'skip':
            return result
        if result[0] == 'ok' and exclusion[1] == 'either':
            return result
        if result[0] == 'ok':
            return ('fail', f'stale exclusion: it passes, though excluded because "{exclusion[0]}"')
        return ('excluded', exclusion[0])


def main():
    parser = argparse.ArgumentParser(usage='run.py DIR [options] | run.py --list', add_help=True)
    parser.add_argument('directory', nargs='?', help='an existing directory, in which sub-directories are made')
    parser.add_argument('--list', action='store_true', help='print the cases and what they need')
    parser.add_argument('--json', action='store_true', help='one JSON object a line')
    parser.add_argument('--only', metavar='NAME,...', help='names, families or shell patterns')
    parser.add_argument('--exclude-file', metavar='FILE', action='append', default=[])
    parser.add_argument('--require', default='', metavar='KIND,...', help='fail, not skip, when this is missing')
    parser.add_argument('--timeout', type=float, default=30.0, metavar='SECONDS', help='for one case (30)')
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='cases at a time (1)')
    args = parser.parse_args()

    cases = load_cases()
    chosen = choose(args.only, cases)
    if args.list:
        for name in chosen:
            about = inspect.getdoc(cases[name]) or ''
            wants = list(getattr(cases[name], 'needs', ()))
            row = {'name': name, 'about': about, 'needs': wants}
            print(json.dumps(row) if args.json else f'{name:50} {about} {wants or ""}'.rstrip())
        return 0

    required = set(filter(None, args.require.split(',')))
    if required - set(kit.KINDS):
        usage(f'--require takes {", ".join(kit.KINDS)}')
    if not args.directory:
        usage('a directory is needed')
    exclusions = {}
    for path in reversed(args.exclude_file):
        exclusions.update(read_exclusions(path, cases))

    runner = Runner(os.path.abspath(args.directory), args.timeout, required)
    status, message = runner.isolated('directory', lambda: None)
    if status != 'ok':
        usage(f'{args.directory} cannot be used: {message}')
    counts = {}
    work = [(name, cases[name]) for name in chosen]
    for name, status, message, took in runner.run(work, exclusions, args.jobs):
        ms = round(took * 1000, 1)
        counts[status] = counts.get(status, 0) + 1
        if args.json:
            row = {'name': name, 'status': status, 'message': message, 'ms': ms}
            print(json.dumps(row), flush=True)
        else:
            print(f'{status:9}{name:45}{ms:9.1f} ms  {message}', flush=True)
    if not args.json:
        print(', '.join(f'{n} {status}' for status, n in counts.items()))
    return 1 if counts.get('fail') else 0


if __name__ == '__main__':
    sys.exit(main())
