"""Real databases: every test that uses one runs on both SQLite and PostgreSQL."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from chat_app.chats.database import Database, open_database
from chat_app.chats.migrations import migrate
from chat_app.identity.identity import Identity
from chat_app.identity.sessions import Sessions
from tests.support.caller import Caller, Visit
from tests.support.databases import PostgresServer, postgres_server
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """One real PostgreSQL for the whole run."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database; a module for which one is enough overrides this."""
    return request.param


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Generator[str]:
    """A fresh database without tables."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'chat.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Generator[str]:
    """A fresh database with all tables, empty."""
    if database_kind == "sqlite":
        file = tmp_path / "chat.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        yield f"sqlite:///{file}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database(like=request.getfixturevalue("migrated_postgres"))
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, empty; copying it is quicker than migrating."""
    file = tmp_path_factory.mktemp("migrated") / "chat.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The same, in PostgreSQL."""
    url = postgres.create_database()
    asyncio.run(migrate(url))
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    """A fresh database, open."""
    async with open_database(database_url) as database:
        yield database


@pytest.fixture
async def other_process(database_url: str) -> AsyncGenerator[Database]:
    """The same database over separate connections, as in another process."""
    async with open_database(database_url) as database:
        yield database


@pytest.fixture(params=["memory", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh store of either kind."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
def absent_redis() -> Generator[RedisServer]:
    """A Redis that has an address but does not run yet."""
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        server = RedisServer(folder=Path(folder))
        yield server
        server.close()


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database.deferred, lifetime=timedelta(days=1))


@pytest.fixture
async def alice(sessions: Sessions) -> Identity:
    return (await sessions.create_guest()).identity


@pytest.fixture
async def bob(sessions: Sessions) -> Identity:
    return (await sessions.create_guest()).identity


@pytest.fixture
def visit() -> Generator[Visit]:
    """Creates clients with sessions; they are closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Caller(server))
