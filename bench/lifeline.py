"""Processes that end with whoever started them, even if that one is killed."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel end this process when its parent has ended. Linux only; else nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def command_prefix() -> list[str]:
    """What to put before a command so that the program ends with this process."""
    if sys.platform != "linux":
        return []
    return ["setpriv", "--pdeathsig", "KILL", "--"]
