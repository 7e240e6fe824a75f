from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from chat_app.chats.database import Database
from chat_app.errors import NotAuthenticated
from chat_app.identity.sessions import Sessions

pytestmark = pytest.mark.anyio


async def test_a_guest_is_recognised_by_the_token(sessions: Sessions) -> None:
    guest = await sessions.create_guest()

    assert await sessions.resolve(guest.token) == guest.identity


async def test_every_guest_is_somebody_else(sessions: Sessions) -> None:
    first, second = await sessions.create_guest(), await sessions.create_guest()

    assert first.identity != second.identity
    assert first.token != second.token


async def test_a_session_is_valid_in_every_process(
    sessions: Sessions, other_process: Database
) -> None:
    guest = await sessions.create_guest()
    elsewhere = Sessions(other_process.deferred, lifetime=timedelta(days=1))

    assert await elsewhere.resolve(guest.token) == guest.identity


@pytest.mark.parametrize("token", [None, "", "unknown", "\x00", "caf\udce9", "x" * 10_000])
async def test_no_token_and_a_wrong_one_identify_nobody(
    sessions: Sessions, token: str | None
) -> None:
    await sessions.create_guest()

    with pytest.raises(NotAuthenticated):
        await sessions.resolve(token)


async def test_an_expired_token_identifies_nobody(database: Database) -> None:
    short = Sessions(database.deferred, lifetime=timedelta(0))
    guest = await short.create_guest()

    with pytest.raises(NotAuthenticated):
        await short.resolve(guest.token)


async def test_a_session_says_when_it_expires(database: Database) -> None:
    before = datetime.now(UTC)

    guest = await Sessions(database.deferred, lifetime=timedelta(hours=2)).create_guest()

    assert before + timedelta(hours=2) <= guest.expires_at
    assert guest.expires_at <= datetime.now(UTC) + timedelta(hours=2)


async def test_the_token_is_neither_in_the_database_nor_in_a_log(
    sessions: Sessions, database: Database
) -> None:
    guest = await sessions.create_guest()

    async with database.reading() as session:
        rows = (await session.execute(text("SELECT * FROM login_session"))).all()
    assert guest.token not in str(rows)
    assert guest.token not in repr(guest)
