"""Runs a command, and becomes the parent of every process that the command leaves behind. It says how each of them ended, a
line each: `PID exit CODE` or `PID signal NUMBER`, the command's own end first; it ends with the last of them."""

import ctypes
import os
import sys

PR_SET_CHILD_SUBREAPER = 36
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    sys.exit(f'prctl: {os.strerror(ctypes.get_errno())}')

command = os.fork()
if command == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        pid, status = os.wait()
    except ChildProcessError:
        break
    end = f'signal {os.WTERMSIG(status)}' if os.WIFSIGNALED(status) else f'exit {os.WEXITSTATUS(status)}'
    print(pid, end, flush=True)
