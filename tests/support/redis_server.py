"""A private Redis server that tests may break in every way a real one breaks."""

import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.programs import REDIS_SERVER, find

START_TIMEOUT = 10
STOP_TIMEOUT = 10
READY = "eady to accept connections"
_DUMP = "dump.rdb"


class RedisServer:
    """A server on a Unix socket and a loopback TCP port, which saves nothing by itself.

    Both addresses survive any number of stops, kills and starts. The data does not: the server
    starts empty unless it is told to load what it last saved.
    """

    def __init__(self, *, folder: Path, options: Mapping[str, str] | None = None) -> None:
        """Choose the addresses; nothing runs yet.

        Args:
            folder: Where the socket goes; macOS limits the socket's path to 104 bytes.
            options: Configuration options that override those of the tests.
        """
        self.socket = folder / "redis.sock"
        self.port = free_port()
        self._folder = folder
        self._options = options or {}
        self._process: subprocess.Popen[str] | None = None
        # Drains the process's output so that the pipe never fills; ends with the process.
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._last_words: deque[str] = deque(maxlen=20)

    @property
    def url(self) -> str:
        """The TCP address, for `REDIS_URL`."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """The address of the Unix socket, which is faster and needs no port."""
        return f"unix://{self.socket}?db=0"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    def start(self, *, saved: bool = False) -> None:
        """Start the server and wait until both addresses accept connections.

        Args:
            saved: Whether to load what it last saved; otherwise it starts empty.
        """
        assert self._process is None, "it is running already"
        if not saved:
            (self._folder / _DUMP).unlink(missing_ok=True)
        self._ready.clear()
        self._process = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._ready.wait(START_TIMEOUT) or self._process.poll() is not None:
            self.kill()
            raise AssertionError("Redis did not start:\n" + "".join(self._last_words))

    def stop(self) -> None:
        """Shut down gracefully: clients see their connections closed."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server, as a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server with all connections open, as a stalled machine does."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a `pause`; nothing stored is lost."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self, *, saved: bool = False) -> None:
        """Crash and return at the same addresses, empty or with what was last saved."""
        self.kill()
        self.start(saved=saved)

    def close(self) -> None:
        """Stop the server, in whatever state it is."""
        if self._process is not None:
            self.kill()

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it is not running"
        return self._process

    def _end(self, number: signal.Signals) -> None:
        process = self._running()
        process.send_signal(number)
        # A paused process handles SIGTERM only once it resumes.
        process.send_signal(signal.SIGCONT)
        process.wait(STOP_TIMEOUT)
        if self._reader is not None:
            self._reader.join(STOP_TIMEOUT)
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(self._folder),
            "dbfilename": _DUMP,
            "save": "",
            "appendonly": "no",
            "logfile": "",
            **self._options,
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(find(REDIS_SERVER)), *flags]

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._last_words.append(line)
            if READY in line:
                self._ready.set()
        # The server has ended: wake a caller that still waits for it to start.
        self._ready.set()


@contextmanager
def running_redis(**options: str) -> Iterator[RedisServer]:
    """Run a server for one test to break; `options` are those of redis.conf, with `_` for `-`."""
    # Not pytest's tmp_path: the path of a Unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        lines = {name.replace("_", "-"): value for name, value in options.items()}
        server = RedisServer(folder=Path(folder), options=lines)
        try:
            server.start()
            yield server
        finally:
            server.close()
