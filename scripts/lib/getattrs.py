"""Blocks of forced getattrs on several mounts in turn: getattrs.py ROUNDS EACH FILE...

Prints one line of JSON: for each file the seconds of its blocks, in the order of the rounds. statx(2) with
AT_STATX_FORCE_SYNC is a request each time.
"""

import ctypes
import json
import os
import sys
import time

ROUNDS, EACH, FILES = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(256)


def block(path):
    begin = time.perf_counter()
    for _ in range(EACH):
        if libc.statx(-100, path, 0x2000, 0x7ff, buffer) != 0:
            raise SystemExit(os.strerror(ctypes.get_errno()))
    return time.perf_counter() - begin


paths = [os.fsencode(file) for file in FILES]
for _ in range(4):
    for path in paths:
        block(path)  # the first ones pay for the compiler
seconds = [[] for _ in paths]
for round in range(ROUNDS):
    for i in range(len(paths)):
        at = (i + round) % len(paths)
        seconds[at].append(block(paths[at]))
print(json.dumps(seconds))
