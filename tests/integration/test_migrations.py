"""The schema: what Alembic creates in an empty database, and that it matches the models."""

import asyncio
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, text

from chat_app.chats.database import migration_engine
from chat_app.chats.migrations import MIGRATION_LOCK, migrate
from chat_app.errors import InvalidSettings
from tests.support.databases import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60
TABLES = {"alembic_version", "user", "login_session", "chat", "message", "stream"}


@pytest.fixture
def postgresql_url(postgres: PostgresServer) -> Generator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


def alembic(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Alembic's command line in the project's folder, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", "-x", f"url={url}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def tables(url: str) -> set[str]:
    engine = migration_engine(url)

    async def read() -> Sequence[str]:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda plain: inspect(plain).get_table_names())

    return set(asyncio.run(read()))


def execute(url: str, statement: str) -> None:
    engine = migration_engine(url)

    async def run() -> None:
        async with engine.begin() as connection:
            await connection.execute(text(statement))

    asyncio.run(run())


def test_an_empty_database_gets_all_tables(empty_url: str) -> None:
    asyncio.run(migrate(empty_url))

    assert tables(empty_url) == TABLES


def test_migrating_twice_keeps_what_is_stored(empty_url: str) -> None:
    asyncio.run(migrate(empty_url))
    execute(empty_url, "INSERT INTO \"user\" (id, created_at) VALUES ('u', '2026-01-01 00:00:00')")

    asyncio.run(migrate(empty_url))

    # The row is still there, so its primary key is taken.
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        execute(
            empty_url,
            "INSERT INTO \"user\" (id, created_at) VALUES ('u', '2026-01-01 00:00:00')",
        )


@pytest.mark.anyio
async def test_threads_that_start_at_once_migrate_once(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(4)))

    assert await asyncio.to_thread(tables, empty_url) == TABLES


def test_processes_that_start_at_once_migrate_once(empty_url: str, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from chat_app.chats.migrations import migrate\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        f"asyncio.run(migrate({empty_url!r}))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=TIMEOUT)[1] for process in processes]

    assert [
        (process.returncode, error) for process, error in zip(processes, errors, strict=True)
    ] == [(0, "")] * 4
    assert tables(empty_url) == TABLES


@pytest.mark.anyio
async def test_a_migration_waits_for_the_one_before_it(postgresql_url: str) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    engine = migration_engine(postgresql_url)

    async with (
        asyncio.timeout(TIMEOUT),
        asyncio.TaskGroup() as tasks,
        engine.begin() as other,
    ):
        await other.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        tasks.create_task(migrate(postgresql_url))
        while not await other.scalar(waiting):
            pass  # each query is a round trip to the server
        names = await other.run_sync(lambda plain: inspect(plain).get_table_names())

    assert names == []
    assert await asyncio.to_thread(tables, postgresql_url) == TABLES


def test_the_command_line_upgrades_and_downgrades(empty_url: str) -> None:
    upgraded = alembic(empty_url, "upgrade", "head")
    assert upgraded.returncode == 0, upgraded.stderr
    assert tables(empty_url) == TABLES

    downgraded = alembic(empty_url, "downgrade", "base")
    assert downgraded.returncode == 0, downgraded.stderr
    assert tables(empty_url) == {"alembic_version"}

    asyncio.run(migrate(empty_url))
    assert tables(empty_url) == TABLES


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = migration_engine(url)

    async def read() -> list[tuple[object, ...]]:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]

    return asyncio.run(read())


def test_chats_from_before_the_tree_become_a_single_branch(empty_url: str) -> None:
    upgraded = alembic(empty_url, "upgrade", "0001")
    assert upgraded.returncode == 0, upgraded.stderr
    now = "'2026-01-01 00:00:00'"
    execute(empty_url, f"INSERT INTO \"user\" (id, created_at) VALUES ('u', {now})")
    for chat, messages in (("a", ("p1", "r1", "p2")), ("b", ("p1",)), ("c", ())):
        execute(
            empty_url,
            "INSERT INTO chat (key, user_id, id, title, created_at, updated_at) "
            f"VALUES ('{chat}', 'u', '{chat}', 'Holiday', {now}, {now})",
        )
        for position, message in enumerate(messages, start=1):
            execute(
                empty_url,
                "INSERT INTO message "
                "(chat_key, id, role, parts, status, meta, position, created_at) VALUES "
                f"('{chat}', '{message}', 'user', '[]', 'complete', '{{}}', {position}, {now})",
            )

    asyncio.run(migrate(empty_url))

    parents = "SELECT chat_key, id, parent_id FROM message ORDER BY chat_key, position"
    assert rows(empty_url, parents) == [
        ("a", "p1", None),
        ("a", "r1", "p1"),
        ("a", "p2", "r1"),
        ("b", "p1", None),
    ]
    leaves = "SELECT key, active_message_id FROM chat ORDER BY key"
    assert rows(empty_url, leaves) == [("a", "p2"), ("b", "p1"), ("c", None)]


def test_chats_from_before_the_search_can_be_found_and_count_as_read(empty_url: str) -> None:
    upgraded = alembic(empty_url, "upgrade", "0002")
    assert upgraded.returncode == 0, upgraded.stderr
    now = "'2026-01-01 00:00:00'"
    execute(empty_url, f"INSERT INTO \"user\" (id, created_at) VALUES ('u', {now})")
    execute(
        empty_url,
        "INSERT INTO chat (key, user_id, id, title, created_at, updated_at) "
        f"VALUES ('c', 'u', 'c', 'By  the SEA', {now}, {now})",
    )
    parts = '[{"type"\\: "text", "text"\\: "To \\u00c6r\\u00f8"}, {"type"\\: "reasoning", "text"\\: "Hm"}]'
    execute(
        empty_url,
        "INSERT INTO message (chat_key, id, role, parts, status, meta, position, created_at) "
        f"VALUES ('c', 'm', 'user', '{parts}', 'complete', '{{}}', 1, {now})",
    )

    asyncio.run(migrate(empty_url))

    assert rows(empty_url, "SELECT searchable FROM message") == [("to ærø",)]
    assert rows(empty_url, "SELECT searchable, title_by FROM chat WHERE read_at = updated_at") == [
        ("by the sea", "rule")
    ]


def test_the_models_are_what_the_migrations_make(empty_url: str) -> None:
    asyncio.run(migrate(empty_url))

    checked = alembic(empty_url, "check")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_newer_schema_is_refused_by_name_of_the_setting(empty_url: str) -> None:
    asyncio.run(migrate(empty_url))
    execute(empty_url, "UPDATE alembic_version SET version_num = 'from-the-future'")

    with pytest.raises(InvalidSettings, match="DATABASE_URL"):
        asyncio.run(migrate(empty_url))


def test_a_file_that_cannot_be_made_is_refused_by_name_of_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL"):
        asyncio.run(migrate(f"sqlite:///{tmp_path / 'no-such-folder' / 'chat.db'}"))


def test_a_database_that_does_not_exist_is_refused_by_name_of_the_setting(
    postgres: PostgresServer,
) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL"):
        asyncio.run(migrate(postgres.url("nonesuch")))


def test_a_server_that_does_not_answer_is_refused_by_name_of_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL"):
        asyncio.run(migrate(f"postgresql://postgres:postgres@/chat?host={tmp_path}"))
