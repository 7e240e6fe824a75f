"""The servers of a run, which can be killed, terminated and frozen."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.app_server import ROOT
from tests.support.ports import free_port

_END_TIMEOUT = 20
_START_TIMEOUT = 120


class Server:
    """A server that keeps its port across restarts."""

    def __init__(self, nursery: "Nursery") -> None:
        self.port = free_port()
        self._nursery = nursery
        self._pid = 0

    def launch(self) -> None:
        """Start the server without waiting until it answers."""
        self._pid = self._nursery.fork(self.port)

    def end(self, number: signal.Signals) -> bool:
        """Signal the whole process group and wait; return whether it ended without SIGKILL."""
        members = self._members()
        os.killpg(self._pid, number)
        _, left = psutil.wait_procs(members, timeout=_END_TIMEOUT)
        if left:
            os.killpg(self._pid, signal.SIGKILL)
        return not left

    def freeze(self) -> None:
        """Stop the server's processes, with their connections open."""
        os.killpg(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """End a `freeze`."""
        os.killpg(self._pid, signal.SIGCONT)

    def _members(self) -> list[psutil.Process]:
        leader = psutil.Process(self._pid)
        return [leader, *leader.children(recursive=True)]


class Nursery:
    """The process that forks the servers; see `tests.chaos.nursery`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert self._line() == "ready"

    def fork(self, port: int) -> int:
        """Fork a server on `port`; return its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{port}\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the servers' parent has ended"
        return line


@contextmanager
def nursery(settings: Mapping[str, str], *, folder: Path) -> Iterator[Nursery]:
    """Fork servers with these settings until the end of the block; they log into `folder`."""
    environment = {
        "DATABASE_URL": f"sqlite:///{folder / 'chat.db'}",
        "REFLEX_STATES_WORKDIR": str(folder / "states"),
        "REFLEX_WEB_WORKDIR": ".web-backend",
        "GRANIAN_WORKERS": "1",
        **settings,
    }
    with (folder / "servers.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield Nursery(process)
        finally:
            process.communicate(timeout=_START_TIMEOUT)  # it ends when its input ends
