"""A crowd of threads that each wait in one read(2): crowd.py FILE COUNT SIZE.

Opens FILE in one process for each thousand of COUNT, and reads SIZE bytes in COUNT threads. A line on standard input lets it
end: `kill` sends SIGKILL to the processes, `wait` leaves the reads to end by themselves. Prints one line of JSON: what became of
the threads (`EIO`, `4096 bytes`, `SIGKILL`), how many of each, and the seconds from the line to the last of them.
"""

import ctypes
import errno
import json
import os
import select
import signal
import sys
import threading
import time

FILE, COUNT, SIZE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
THREADS = 1000  # of one process
PATIENCE = 100  # seconds

libc = ctypes.CDLL(None, use_errno=True)


def readers(count, say):
    fd = os.open(FILE, os.O_RDONLY)
    results = []

    def read():
        buffer = ctypes.create_string_buffer(SIZE)
        got = libc.pread(fd, buffer, SIZE, 0)
        results.append(f'{got} bytes' if got >= 0 else errno.errorcode[ctypes.get_errno()])

    threading.stack_size(64 * 1024)
    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(say, json.dumps({each: results.count(each) for each in set(results)}).encode())
    os._exit(0)


children = {}
try:
    for left in range(COUNT, 0, -THREADS):
        hear, say = os.pipe()
        count = min(left, THREADS)
        pid = os.fork()
        if pid == 0:
            os.close(hear)
            readers(count, say)
        os.close(say)
        children[pid] = (count, hear)
    order = sys.stdin.readline().strip()
    begin = time.monotonic()
    if order == 'kill':
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    elif order != 'wait':
        raise SystemExit(f'{order}: neither kill nor wait')
    results = {}
    while children:
        pid, (count, hear) = next(iter(children.items()))
        if not select.select([hear], [], [], PATIENCE + begin - time.monotonic())[0]:
            raise SystemExit(f'{len(children)} processes are not back within {PATIENCE} s')
        said = os.read(hear, 65536)  # what a process has to say is one write, and its end is the end of the pipe
        _, status = os.waitpid(pid, 0)
        del children[pid]
        ends = json.loads(said) if said else {signal.Signals(os.WTERMSIG(status)).name: count}
        for how, many in ends.items():
            results[how] = results.get(how, 0) + many
    print(json.dumps({'results': results, 'seconds': round(time.monotonic() - begin, 2)}))
finally:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
