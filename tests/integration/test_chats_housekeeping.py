"""Every accepted prompt ends: streams that no producer works on are found and closed."""

from datetime import UTC, datetime, timedelta

import pytest

from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.queries import text_parts
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import Fenced
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

pytestmark = pytest.mark.anyio

CHAT = ChatId("holiday")


@pytest.fixture
def chats(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def streams(database: Database) -> StreamRepository:
    return StreamRepository(database)


@pytest.fixture
def housekeeping(database: Database) -> Housekeeping:
    return Housekeeping(database)


async def ask(chats: ChatRepository, owner: Identity, chat_id: ChatId = CHAT) -> StreamId:
    turn = await chats.begin_turn(
        owner, chat_id=chat_id, message_id=MessageId("prompt"), text="Where to?", model="demo"
    )
    return turn.stream.id


async def test_open_streams_of_all_users_are_found_oldest_first(
    chats: ChatRepository, housekeeping: Housekeeping, alice: Identity, bob: Identity
) -> None:
    hers, his = await ask(chats, alice), await ask(chats, bob)

    found = await housekeeping.open_streams(idle_since=datetime.now(UTC) + timedelta(seconds=1))

    assert [(stream.user_id, stream.stream_id) for stream in found] == [
        (alice.user_id, hers),
        (bob.user_id, his),
    ]
    assert [stream.checkpointed_at for stream in found] == [None, None]


async def test_a_stream_that_shows_signs_of_life_is_not_idle(
    chats: ChatRepository, streams: StreamRepository, housekeeping: Housekeeping, alice: Identity
) -> None:
    dead = await ask(chats, alice, ChatId("dead"))
    claimed = await ask(chats, alice, ChatId("claimed"))
    checkpointed = await ask(chats, alice, ChatId("checkpointed"))
    token = (await streams.claim(alice, checkpointed)).fencing_token
    since = datetime.now(UTC)
    await streams.claim(alice, claimed)
    await streams.checkpoint(alice, checkpointed, fencing_token=token, text="To t", tail=0)
    await ask(chats, alice, ChatId("new"))

    found = await housekeeping.open_streams(idle_since=since)

    assert [stream.stream_id for stream in found] == [dead]


async def test_a_closed_stream_is_neither_found_nor_closed_again(
    chats: ChatRepository, housekeeping: Housekeeping, alice: Identity
) -> None:
    stream_id = await ask(chats, alice)
    assert await housekeeping.close_stream(stream_id)
    before = await chats.read_chat(alice, CHAT)

    assert await housekeeping.open_streams(idle_since=datetime.now(UTC)) == []
    assert not await housekeeping.close_stream(stream_id, outcome="failed")
    assert await chats.read_chat(alice, CHAT) == before


async def test_the_checkpoint_of_an_interrupted_stream_becomes_the_reply(
    chats: ChatRepository, streams: StreamRepository, housekeeping: Housekeeping, alice: Identity
) -> None:
    stream_id = await ask(chats, alice)
    claim = await streams.claim(alice, stream_id)
    await streams.checkpoint(
        alice, stream_id, fencing_token=claim.fencing_token, text="To t", tail=0
    )

    assert await housekeeping.close_stream(stream_id)

    chat = await chats.read_chat(alice, CHAT)
    reply, stream = chat.messages[-1], chat.newest_stream
    assert (reply.id, reply.text, reply.status) == (claim.reply_id, "To t", "interrupted")
    assert stream is not None
    assert stream.outcome == "interrupted"


async def test_a_stream_that_never_began_is_closed_without_a_reply(
    chats: ChatRepository, housekeeping: Housekeeping, alice: Identity
) -> None:
    stream_id = await ask(chats, alice)

    assert await housekeeping.close_stream(
        stream_id, outcome="failed", error_code="log_unavailable"
    )

    chat = await chats.read_chat(alice, CHAT)
    assert len(chat.messages) == 1
    assert chat.newest_stream is not None
    assert (chat.newest_stream.outcome, chat.newest_stream.error_code) == (
        "failed",
        "log_unavailable",
    )


async def test_a_producer_that_was_thought_dead_is_fenced(
    chats: ChatRepository, streams: StreamRepository, housekeeping: Housekeeping, alice: Identity
) -> None:
    stream_id = await ask(chats, alice)
    token = (await streams.claim(alice, stream_id)).fencing_token
    await housekeeping.close_stream(stream_id)

    with pytest.raises(Fenced):
        await streams.checkpoint(alice, stream_id, fencing_token=token, text="To the sea.", tail=0)
    with pytest.raises(Fenced):
        await streams.finish(
            alice,
            stream_id,
            fencing_token=token,
            parts=text_parts("To the sea."),
            outcome="completed",
        )


async def test_a_stream_that_came_back_to_life_is_left_alone(
    chats: ChatRepository, streams: StreamRepository, housekeeping: Housekeeping, alice: Identity
) -> None:
    stream_id = await ask(chats, alice)
    since = datetime.now(UTC)
    await streams.claim(alice, stream_id)

    assert not await housekeeping.close_stream(stream_id, idle_since=since)

    assert (await chats.read_chat(alice, CHAT)).open_stream is not None


async def test_a_stream_that_is_gone_cannot_be_closed(housekeeping: Housekeeping) -> None:
    assert not await housekeeping.close_stream(StreamId("unheard-of"))
