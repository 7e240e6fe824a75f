"""Servers at the cost of a fork, from a process that has already imported everything.

Run as a program, it reads one port per line of input, forks a server for each, and answers with the
process id. The server does what `reflex run --env prod --backend-only` does. When the input ends,
it kills all servers.
"""

import os
import signal
import sys
from contextlib import suppress

from reflex.utils import prerequisites
from reflex.utils.exec import run_backend_prod
from reflex_base import constants
from reflex_base.environment import environment


def main() -> None:
    """Fork servers until the input ends."""
    environment.REFLEX_ENV_MODE.set(constants.Env.PROD)
    environment.REFLEX_SKIP_COMPILE.set(True)
    prerequisites.get_app()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: nothing here waits for children
    children: list[int] = []
    _reply("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _serve(int(line))
        children.append(child)
        _reply(str(child))
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)


def _serve(port: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()  # one process group with its worker, so that both end together
    _leave_the_pipes()
    run_backend_prod("127.0.0.1", port, constants.LogLevel.ERROR)
    os._exit(0)


def _leave_the_pipes() -> None:
    """Detach from the parent's pipes; output goes to standard error instead."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)


def _reply(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
