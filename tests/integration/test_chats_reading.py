"""What an owner can read, and no other user."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.queries import text_parts
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.chats.tables import ChatRow
from chat_app.errors import ChatNotFound, InvalidRequest
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

pytestmark = pytest.mark.anyio

CHAT = ChatId("holiday")
PROMPT = MessageId("prompt-1")


@pytest.fixture
def chats(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def streams(database: Database) -> StreamRepository:
    return StreamRepository(database)


async def ask(
    chats: ChatRepository, owner: Identity, chat_id: ChatId = CHAT, text: str = "Where to?"
) -> StreamId:
    turn = await chats.begin_turn(
        owner, chat_id=chat_id, message_id=PROMPT, text=text, model="demo"
    )
    return turn.stream.id


async def finish(streams: StreamRepository, owner: Identity, stream_id: StreamId) -> None:
    claim = await streams.claim(owner, stream_id)
    await streams.finish(
        owner,
        stream_id,
        fencing_token=claim.fencing_token,
        parts=text_parts("To the sea."),
        outcome="completed",
    )


async def test_chats_are_listed_with_the_latest_turn_first(
    chats: ChatRepository, streams: StreamRepository, alice: Identity
) -> None:
    first = await ask(chats, alice, ChatId("a"), "Older")
    await ask(chats, alice, ChatId("b"), "Newer")
    await finish(streams, alice, first)

    listed = (await chats.list_chats(alice)).chats

    assert [(chat.id, chat.title, chat.answering) for chat in listed] == [
        ("a", "Older", False),
        ("b", "Newer", True),
    ]


async def test_a_list_has_no_more_chats_than_asked_for(
    chats: ChatRepository, alice: Identity
) -> None:
    for name in ("a", "b", "c"):
        await ask(chats, alice, ChatId(name))

    assert [chat.id for chat in (await chats.list_chats(alice, limit=2)).chats] == ["c", "b"]


async def test_page_by_page_every_chat_is_listed_once(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, bob: Identity
) -> None:
    for number in range(5):
        await ask(chats, alice, ChatId(f"chat-{number}"))
    await ask(chats, bob)
    first = await chats.list_chats(alice, limit=2)
    # Meanwhile a chat that was listed already moves to the front, and a new one is created.
    await chats.regenerate(alice, ChatId("chat-4"), model="demo")
    await ask(chats, alice, ChatId("new"))

    second = await chats.list_chats(alice, limit=2, before=first.next)
    third = await chats.list_chats(alice, limit=2, before=second.next)

    pages = [[chat.id for chat in page.chats] for page in (first, second, third)]
    assert pages == [["chat-4", "chat-3"], ["chat-2", "chat-1"], ["chat-0"]]
    assert third.next is None


async def test_chats_of_the_same_moment_are_all_listed(
    chats: ChatRepository, database: Database, alice: Identity
) -> None:
    for number in range(5):
        await ask(chats, alice, ChatId(f"chat-{number}"))
    moment = (await chats.read_chat(alice, ChatId("chat-0"))).updated_at
    async with database.writing() as session:
        await session.execute(update(ChatRow).values(updated_at=moment))

    seen: list[str] = []
    page = await chats.list_chats(alice, limit=2)
    while page.next is not None:
        seen += [chat.id for chat in page.chats]
        page = await chats.list_chats(alice, limit=2, before=page.next)
    seen += [chat.id for chat in page.chats]

    assert sorted(seen) == [f"chat-{number}" for number in range(5)]


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "%",
        "é",
        encoded("2026-01-01T00:00:00+00:00"),
        encoded("2026-01-01T00:00:00/key"),
        encoded("yesterday/key"),
        encoded("2026-01-01T00:00:00+00:00/\0"),
        encoded("é/key"),
        encoded("0001-01-01T00:00:00+14:00/key"),
        encoded("9999-12-31T23:59:59-14:00/key"),
    ],
)
async def test_an_invalid_cursor_of_the_list_is_refused(
    chats: ChatRepository, alice: Identity, wrong: str
) -> None:
    with pytest.raises(InvalidRequest):
        await chats.list_chats(alice, before=wrong)


async def test_times_are_in_utc(
    chats: ChatRepository, streams: StreamRepository, alice: Identity
) -> None:
    before = datetime.now(UTC)
    await finish(streams, alice, await ask(chats, alice))
    after = datetime.now(UTC)

    chat = await chats.read_chat(alice, CHAT)

    assert chat.newest_stream is not None
    assert chat.newest_stream.closed_at is not None
    times = [
        chat.created_at,
        chat.newest_stream.created_at,
        chat.messages[0].created_at,
        chat.newest_stream.closed_at,
        chat.messages[1].created_at,
        chat.updated_at,
    ]
    assert all(time.utcoffset() == timedelta(0) for time in times)
    assert min(times) >= before
    assert max(times) <= after


async def test_one_message_can_be_read_alone(
    chats: ChatRepository, alice: Identity, bob: Identity
) -> None:
    await ask(chats, alice)
    [prompt] = (await chats.read_chat(alice, CHAT)).messages

    assert await chats.read_message(alice, CHAT, prompt.id) == prompt
    for unknown in ("never-sent", "\0"):
        assert await chats.read_message(alice, CHAT, MessageId(unknown)) is None
    with pytest.raises(ChatNotFound):
        await chats.read_message(bob, CHAT, prompt.id)


async def test_a_user_without_chats_has_an_empty_list(
    chats: ChatRepository, alice: Identity
) -> None:
    assert (await chats.list_chats(alice)).chats == ()


async def test_a_chat_that_does_not_exist_is_not_found(
    chats: ChatRepository, alice: Identity
) -> None:
    with pytest.raises(ChatNotFound):
        await chats.read_chat(alice, CHAT)
    with pytest.raises(ChatNotFound):
        await chats.newest_stream(alice, CHAT)
    with pytest.raises(ChatNotFound):
        await chats.regenerate(alice, CHAT, model="demo")


async def test_somebody_elses_chat_looks_as_if_it_did_not_exist(
    chats: ChatRepository, alice: Identity, bob: Identity
) -> None:
    stream_id = await ask(chats, alice)

    errors: list[ChatNotFound] = []
    for chat_id in (CHAT, ChatId("nobodys")):
        for attempt in (
            chats.read_chat(bob, chat_id),
            chats.newest_stream(bob, chat_id),
            chats.regenerate(bob, chat_id, model="demo"),
            chats.withdraw_turn(bob, chat_id, stream_id),
        ):
            with pytest.raises(ChatNotFound) as refused:
                await attempt
            errors.append(refused.value)

    assert len({str(error) for error in errors}) == 1
    assert (await chats.list_chats(bob)).chats == ()


async def test_somebody_elses_stream_looks_as_if_it_did_not_exist(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, bob: Identity
) -> None:
    stream_id = await ask(chats, alice)
    claim = await streams.claim(alice, stream_id)
    token = claim.fencing_token

    for attempt in (
        streams.claim(bob, stream_id),
        streams.checkpoint(bob, stream_id, fencing_token=token, text="Mine!", tail=0),
        streams.finish(
            bob, stream_id, fencing_token=token, parts=text_parts("Mine!"), outcome="stopped"
        ),
    ):
        with pytest.raises(ChatNotFound):
            await attempt

    untouched = await streams.claim(alice, stream_id)
    assert (untouched.fencing_token, untouched.checkpoint, untouched.outcome) == (
        token + 1,
        "",
        None,
    )


async def test_two_users_can_use_the_same_ids_for_chats_and_messages(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, bob: Identity
) -> None:
    await ask(chats, alice, text="Alice's")

    turn = await chats.begin_turn(bob, chat_id=CHAT, message_id=PROMPT, text="Bob's", model="demo")

    assert turn.created
    await finish(streams, bob, turn.stream.id)
    hers, his = await chats.read_chat(alice, CHAT), await chats.read_chat(bob, CHAT)
    assert [message.text for message in hers.messages] == ["Alice's"]
    assert hers.open_stream is not None
    assert [message.text for message in his.messages] == ["Bob's", "To the sea."]
    assert his.open_stream is None
