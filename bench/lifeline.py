"""Child processes that die with their parent, even if the parent is killed."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. Does nothing except on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def command_prefix() -> list[str]:
    """Return the words to put before a command so that the program dies with this process."""
    if sys.platform != "linux":
        return []
    return ["setpriv", "--pdeathsig", "KILL", "--"]
