"""A private PostgreSQL server, and databases on it."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from sqlalchemy import make_url, text

from chat_app.chats.database import migration_engine
from tests.support.ports import free_port
from tests.support.programs import POSTGRES, find

TIMEOUT = 60
READY = "database system is ready to accept connections"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "16MB",
    # The data must survive a crash of the server, but not one of the machine.
    "fsync": "off",
    "full_page_writes": "off",
}


class PostgresServer:
    """A server that tests may crash and restart; committed data survives.

    PostgreSQL refuses to run as root. Started by root, it runs as `postgres`, or else as `nobody`.

    Attributes:
        port: The server's loopback port; it also listens on a Unix socket.
    """

    def __init__(self, *, folder: Path) -> None:
        """Create the server's files; nothing runs yet.

        Args:
            folder: An empty folder for the files; its path must be short and open to all users.

        Raises:
            ProgramMissing: There is no PostgreSQL on this machine.
        """
        self.port = free_port()
        self._postgres = find(POSTGRES)
        self._folder = folder
        self._identity = _unprivileged(folder)
        self._process: subprocess.Popen[str] | None = None
        _make_cluster(self._postgres.with_name("initdb"), folder=folder, identity=self._identity)

    def url(self, name: str, *, port: int | None = None) -> str:
        """Return the URL of the database `name`, for `DATABASE_URL`.

        Args:
            name: The database.
            port: The loopback port to connect through; by default the Unix socket is used.
        """
        # The server needs no password, but without one asyncpg reads ~/.pgpass, which blocks the
        # event loop.
        if port is not None:
            return f"postgresql://postgres:postgres@127.0.0.1:{port}/{name}?sslmode=disable"
        return f"postgresql://postgres:postgres@/{name}?host={self._folder}&port={self.port}"

    def create_database(self, *, like: str | None = None, port: int | None = None) -> str:
        """Create a database and return its URL.

        Args:
            like: The URL of a database to copy, without open connections; by default it is empty.
            port: As for `url`.
        """
        name = f"test_{uuid4().hex}"
        template = make_url(like).database if like else "template1"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name, port=port)

    def drop_database(self, url: str) -> None:
        """Drop a database, even if it has open connections."""
        name = make_url(url).database
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser, outside any transaction."""
        asyncio.run(_execute(self.url("postgres"), statement))

    def rows(self, url: str, query: str) -> list[Any]:
        """Return the rows of a query."""
        return asyncio.run(_rows(self.url(str(make_url(url).database)), query))

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        assert self._process is None, "it is running already"
        options = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._postgres, "-D", self._folder / "data", *flags],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **self._identity,
        )
        self._log = _Log(self._process)
        self._log.wait_until_ready()

    def stop(self) -> None:
        """Shut down gracefully, ending open connections."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Crash the server: only what was committed survives."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Freeze the server with all connections open, as a stalled machine does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a `pause`."""
        self._signal(signal.SIGCONT)

    def mend(self) -> None:
        """Make the server run again, in whatever state a test left it."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            return
        self.close()
        self._process = None
        self.start()

    def close(self) -> None:
        """Stop the server, in whatever state it is."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.resume()
            self.stop()
        else:
            self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it is not running"
        leader = psutil.Process(self._process.pid)
        leader.send_signal(number)
        for process in leader.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "it is not running"
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        self._log.close()


@contextmanager
def postgres_server() -> Generator[PostgresServer]:
    """Run a server for the length of the block, then remove its files.

    Raises:
        ProgramMissing: There is no PostgreSQL on this machine.
    """
    # Not pytest's tmp_path: the path of a Unix socket must be short, and its folders open to the
    # user the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        server = PostgresServer(folder=folder)
        try:
            server.start()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Return the `subprocess` options of the user to run as; that user gets to own `folder`."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _make_cluster(initdb: Path, *, folder: Path, identity: dict[str, Any]) -> None:
    options = ("--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
    made = subprocess.run(
        [initdb, f"--pgdata={folder / 'data'}", *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
        **identity,
    )
    if made.returncode != 0:
        raise AssertionError(f"initdb failed:\n{made.stdout}{made.stderr}")


class _Log:
    """Reads the server's output so that the pipe never fills; its thread ends with the server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._ready = threading.Event()
        self._last_words: deque[str] = deque(maxlen=20)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        if not self._ready.wait(TIMEOUT) or self._process.poll() is not None:
            raise AssertionError("PostgreSQL did not start:\n" + "".join(self._last_words))

    def close(self) -> None:
        self._reader.join(TIMEOUT)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last_words.append(line)
            if READY in line:
                self._ready.set()
        # The server has ended: wake a caller that still waits for it to start.
        self._ready.set()


async def _execute(url: str, statement: str) -> None:
    engine = migration_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()


async def _rows(url: str, query: str) -> list[Any]:
    engine = migration_engine(url)
    try:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]
    finally:
        await engine.dispose()
