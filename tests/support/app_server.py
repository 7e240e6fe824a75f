"""The real application in its own processes, started the way a user starts it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import psutil

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 120  # the first production build also installs the page's packages
STOP_TIMEOUT = 20

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").replace("gw", "-")

Mode = Literal["backend", "prod", "dev"]


@dataclass(kw_only=True)
class AppServer:
    """One server process: the API alone, or with the page in production or development mode.

    Attributes:
        folder: Where the server keeps its database and state files.
        settings: Environment variables that override those of the tests.
    """

    folder: Path
    mode: Mode = "backend"
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    page_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        if self.mode == "prod":
            self.page_port = self.port
        self._process: subprocess.Popen[str] | None = None
        # Drains the process's output so that the pipe never fills; ends with the process.
        self._reader: threading.Thread | None = None
        self.output: deque[str] = deque(maxlen=400)

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def page(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.page_port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.launch()
        self.wait_until_up()

    def launch(self) -> None:
        """Start the server without waiting."""
        self._process = subprocess.Popen(
            self._command(),
            cwd=ROOT,
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # its own process group, so that its children end with it
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def wait_until_up(self) -> None:
        """Wait until the server answers; fail with its output if it ends or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT
        for address in (f"{self.api}/api/openapi.json", *self._page_address()):
            while not _answers(address):
                if self._running().poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError("the server did not start:\n" + "".join(self.output))

    def stop(self) -> None:
        """Shut the server down gracefully."""
        self.end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server and everything it started, as a power cut does."""
        self.end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze all its processes with their connections open, as a stalled machine does."""
        os.killpg(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End a `pause`."""
        os.killpg(self._running().pid, signal.SIGCONT)

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's processes."""
        leader = psutil.Process(self._running().pid)
        return [leader, *leader.children(recursive=True)]

    def close(self) -> None:
        """Kill whatever still runs."""
        if self._process is not None:
            self.kill()

    def _running(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "it is not running"
        return self._process

    def end(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; wait until the server has ended."""
        process = self._running()
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_TIMEOUT)
        except ProcessLookupError:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_TIMEOUT)
            raise AssertionError("the server did not stop:\n" + "".join(self.output)) from None
        finally:
            self._process = None
            if self._reader is not None:
                self._reader.join(STOP_TIMEOUT)
            if process.stdout is not None:
                process.stdout.close()

    def _command(self) -> list[str]:
        reflex = str(Path(sys.executable).parent / "reflex")
        if self.mode == "backend":
            flags = ["--env", "prod", "--backend-only", "--backend-port", str(self.port)]
        elif self.mode == "prod":
            flags = ["--env", "prod", "--frontend-port", str(self.port)]
            flags += ["--backend-port", str(self.port)]
        else:
            flags = ["--env", "dev", "--frontend-port", str(self.page_port)]
            flags += ["--backend-port", str(self.port)]
        return [reflex, "run", *flags]

    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"sqlite:///{self.folder / 'chat.db'}",
            "ALLOWED_ORIGINS": self.page,
            "REFLEX_STATES_WORKDIR": str(self.folder / f"states-{self.port}"),
            # Not the developer's own, which a running `make dev` may be using, and not that of the
            # other test process.
            "REFLEX_WEB_WORKDIR": f".web-{self.mode}{_WORKER}",
            "GRANIAN_WORKERS": "1",
            "CHAT_TITLES": "rule",  # a request for a title would use up a scripted reply
            **self.settings,
        }

    def _page_address(self) -> tuple[str, ...]:
        return () if self.mode == "backend" else (self.page,)

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.output.extend(process.stdout)


def _answers(address: str) -> bool:
    try:
        # Nothing here is encrypted, and reading the certificates takes longer than the request.
        return httpx.get(address, timeout=0.5, verify=False).is_success
    except httpx.HTTPError:
        threading.Event().wait(0.05)
        return False


@contextmanager
def running(server: AppServer) -> Iterator[AppServer]:
    """Run `server` for the length of the block."""
    try:
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def running_together(*servers: AppServer) -> Iterator[None]:
    """Run `servers`, started in parallel, for the length of the block."""
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)
            server.launch()
        for server in servers:
            server.wait_until_up()
        yield
