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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import make_url, text

from chat_app.chats.database import migration_engine
from tests.support.programs import POSTGRES, find

TIMEOUT = 60
READY = "database system is ready to accept connections"

_SETTINGS = {
    "listen_addresses": "",  # only the Unix socket
    "max_connections": "100",
    "shared_buffers": "16MB",
    # Nothing here has to survive the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server.

    Attributes:
        folder: Holds its socket and its data.
    """

    folder: Path

    def url(self, name: str) -> str:
        """The database `name`, as `DATABASE_URL` wants it."""
        # The server asks for no password, but without one asyncpg looks into ~/.pgpass, which
        # blocks the event loop.
        return f"postgresql://postgres:postgres@/{name}?host={self.folder}"

    def create_database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"test_{uuid4().hex}"
        asyncio.run(_execute(self.url("postgres"), f'CREATE DATABASE "{name}"'))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        name = make_url(url).database
        asyncio.run(_execute(self.url("postgres"), f'DROP DATABASE "{name}" WITH (FORCE)'))


@contextmanager
def postgres_server() -> Generator[PostgresServer]:
    """Start a server; stop it and remove all it stored at the end.

    PostgreSQL refuses to run as root; for root it runs as `postgres`, or else as `nobody`.

    Raises:
        ProgramMissing: There is no PostgreSQL on this machine.
    """
    postgres = find(POSTGRES)
    # Not pytest's tmp_path: the name of a Unix socket must be short, and its folders open to
    # the user the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        identity = _unprivileged(folder)
        _make_cluster(postgres.with_name("initdb"), folder=folder, identity=identity)
        with _running(postgres, folder=folder, identity=identity):
            yield PostgresServer(folder=folder)
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


@contextmanager
def _running(postgres: Path, *, folder: Path, identity: dict[str, Any]) -> Generator[None]:
    settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [postgres, "-D", folder / "data", *flags],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **identity,
    )
    log = _Log(process)
    try:
        log.wait_until_ready()
        yield
    finally:
        # Fast shutdown: PostgreSQL ends open connections by itself.
        process.send_signal(signal.SIGINT)
        process.wait(TIMEOUT)
        log.close()


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
