"""A PostgreSQL server of our own, and databases on it."""

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
    # What is here survives a crash of the server, but need not survive one of the machine.
    "fsync": "off",
    "full_page_writes": "off",
}


class PostgresServer:
    """A server that tests may crash and start again, with all that was committed.

    PostgreSQL refuses to run as root; for root it runs as `postgres`, or else as `nobody`.

    Attributes:
        port: Where it listens on the loopback; it has a Unix socket, too.
    """

    def __init__(self, *, folder: Path) -> None:
        """Make its files; nothing runs yet.

        Args:
            folder: Where they go, empty; its path must be short and open to everybody.

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
        """The database `name`, as `DATABASE_URL` wants it.

        Args:
            name: The database.
            port: By TCP through this port of the loopback; else by the Unix socket.
        """
        # The server asks for no password, but without one asyncpg looks into ~/.pgpass, which
        # blocks the event loop.
        if port is not None:
            return f"postgresql://postgres:postgres@127.0.0.1:{port}/{name}?sslmode=disable"
        return f"postgresql://postgres:postgres@/{name}?host={self._folder}&port={self.port}"

    def create_database(self, *, like: str | None = None, port: int | None = None) -> str:
        """Make a database; returns its URL, as `url` does.

        Args:
            like: Of what it is a copy, which nobody may be connected to; else it is empty.
            port: As for `url`.
        """
        name = f"test_{uuid4().hex}"
        template = make_url(like).database if like else "template1"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name, port=port)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        name = make_url(url).database
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """Run a statement, as the superuser and outside of every transaction."""
        asyncio.run(_execute(self.url("postgres"), statement))

    def rows(self, url: str, query: str) -> list[Any]:
        """What a query gives."""
        return asyncio.run(_rows(self.url(str(make_url(url).database)), query))

    def start(self) -> None:
        """Start the server; when this returns it takes connections."""
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
        """Shut down in good order; it ends open connections by itself."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End at once, with nothing written that was not committed."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Stop answering with all connections open, as a stalled machine does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def mend(self) -> None:
        """Have it running, in whatever state a test has left it."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            return
        self.close()
        self._process = None
        self.start()

    def close(self) -> None:
        """Make sure that nothing runs any more, in whatever state it is."""
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
    """Start a server; stop it and remove all it stored at the end.

    Raises:
        ProgramMissing: There is no PostgreSQL on this machine.
    """
    # Not pytest's tmp_path: the name of a Unix socket must be short, and its folders open to
    # the user the server runs as.
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
    """As whom to run, for `subprocess`; `folder` is handed over to them."""
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
    """Reads what the server tells, so that the pipe never fills; its thread ends with the server."""

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
        # It has ended; whoever waits for the start must not wait any longer.
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
