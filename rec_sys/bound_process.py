"""Replaces itself by another program that is ended when its parent is: `bound_process.py PARENT_ID PROGRAM ...`.

Run as a file, by an interpreter of its own, because the kernel must be asked between the fork and the program, where
a process with threads may not run Python. Linux only.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_SET_PARENT_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of prctl(2); it outlives the exec


def main() -> None:
    """Binds this process to its parent, then becomes the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))
    if os.getppid() != parent:
        sys.exit("the parent ended before its program began")
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
