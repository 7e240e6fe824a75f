"""The programs a measurement needs; each is always ended, by its process id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.lifeline import command_prefix
from bench.proc import tree
from tests.support.npm import NODE
from tests.support.ports import free_port
from tests.support.programs import REDIS_SERVER, find

ROOT = Path(__file__).parents[1]
PEER = ROOT / "bench" / "peer"

_START_TIMEOUT = 30.0
_POLL = 0.02  # seconds between attempts to connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A program that listens on a loopback port."""

    port: int
    pid: int

    @property
    def pids(self) -> list[int]:
        """The ids of the process and all its descendants."""
        return tree(self.pid)


@contextmanager
def redis(folder: Path) -> Iterator[Child]:
    """Run an empty Redis server without persistence."""
    port = free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    command = [str(find(REDIS_SERVER)), "--port", str(port), *options]
    with _running(command, port=port, log=folder / "redis.log") as child:
        yield child


@contextmanager
def ours(folder: Path, *, redis_port: int) -> Iterator[Child]:
    """Run the durable log behind Granian."""
    port = free_port()
    command = [sys.executable, "-m", "bench.server"]
    settings = _settings(port, redis_port)
    with _running(command, port=port, log=folder / f"ours-{port}.log", settings=settings) as child:
        yield child


@contextmanager
def peer(folder: Path, *, redis_port: int) -> Iterator[Child]:
    """Run resumable-stream behind node:http."""
    port = free_port()
    settings = _settings(port, redis_port)
    command = [str(NODE), str(PEER / "server.js")]
    with _running(command, port=port, log=folder / f"peer-{port}.log", settings=settings) as child:
        yield child


@contextmanager
def load_generator(plan: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the load generator with `plan`."""
    process = subprocess.Popen(
        [*command_prefix(), sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(plan.encode())
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def _running(
    command: Sequence[str], *, port: int, log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Child]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command_prefix(), *command],
            cwd=ROOT,
            env={**os.environ, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its own process group, killed as a whole
        )
    try:
        _wait_until_up(process, port=port, log=log)
        yield Child(port=port, pid=process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_up(process: "subprocess.Popen[bytes]", *, port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            _speak(port)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.args} did not start:\n{log.read_text()}") from None
            time.sleep(_POLL)
        else:
            return


def _speak(port: int) -> None:
    """Send an HTTP request and get any reply: a status line, or an error from Redis."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /up/ HTTP/1.0\r\n\r\n")
        if not connection.recv(1):
            raise ConnectionError


def _settings(port: int, redis_port: int) -> dict[str, str]:
    return {"PORT": str(port), "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
