"""The owner's list of chats: searched, pinned, read, deleted and restored."""

from datetime import UTC, datetime, timedelta

import pytest

from chat_app.chats.chat_list import ChatList
from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ChatNotFound
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

pytestmark = pytest.mark.anyio

SEA, CODE = ChatId("sea"), ChatId("code")
NONE = ChatId("none")


@pytest.fixture
def chats(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def streams(database: Database) -> StreamRepository:
    return StreamRepository(database)


@pytest.fixture
def chat_list(database: Database) -> ChatList:
    return ChatList(database)


async def ask(
    chats: ChatRepository, owner: Identity, chat_id: ChatId, text: str = "Where to?"
) -> StreamId:
    turn = await chats.begin_turn(
        owner, chat_id=chat_id, message_id=MessageId(f"in-{chat_id}"), text=text, model="demo"
    )
    return turn.stream.id


async def end(
    streams: StreamRepository, owner: Identity, stream_id: StreamId, text: str = "To the sea."
) -> None:
    claim = await streams.claim(owner, stream_id)
    await streams.finish(
        owner,
        stream_id,
        fencing_token=claim.fencing_token,
        parts=[{"type": "reasoning", "text": "Hidden thought."}, {"type": "text", "text": text}],
        outcome="completed",
    )


@pytest.fixture
async def two(chats: ChatRepository, streams: StreamRepository, alice: Identity) -> None:
    """A chat about the sea, and a newer one about code."""
    await end(streams, alice, await ask(chats, alice, SEA, "Holiday in Ærø?\n\n100% sun"))
    await end(
        streams,
        alice,
        await ask(chats, alice, CODE, "What is max_size?"),
        f"{'Well. ' * 40}It is a LIMIT\nof Ünicode.{' So it is.' * 40}",
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("holiday", ["sea"]),  # in the title
        ("HOLIDAY sEa", ["sea"]),  # one word in the title, one in the reply
        ("is limit", ["code"]),
        ("limit of ünicode", ["code"]),  # over a line break
        ("ærø", ["sea"]),  # case does not matter in any script
        ("ünic", ["code"]),  # a part of a word
        ("max_size", ["code"]),
        ("max%size", []),  # a pattern to LIKE
        ("100%", ["sea"]),
        ("maxxsize", []),
        ("holiday limit", []),  # each in another chat
        ("hidden", []),  # in the reasoning, not in the reply
        ("in-sea", []),
        ("text", []),  # a word of the stored JSON
        ("", []),
        (" \n", []),
        ("\0sea", ["sea"]),
    ],
)
@pytest.mark.usefixtures("two")
async def test_a_chat_is_found_by_every_word_of_its_title_or_its_messages(
    chat_list: ChatList, alice: Identity, query: str, found: list[str]
) -> None:
    assert [chat.id for chat in await chat_list.search(alice, query)] == found


@pytest.mark.usefixtures("two")
async def test_an_excerpt_shows_where_it_was_said(chat_list: ChatList, alice: Identity) -> None:
    (found,) = await chat_list.search(alice, "ünicode")

    assert found.title == "What is max_size?"
    assert "It is a LIMIT of Ünicode." in found.excerpt
    assert found.excerpt.startswith("…")
    assert found.excerpt.endswith("…")
    assert len(found.excerpt) < 100


@pytest.mark.usefixtures("two")
async def test_a_match_in_the_title_alone_needs_no_excerpt(
    chats: ChatRepository, chat_list: ChatList, alice: Identity
) -> None:
    await chats.rename(alice, SEA, title="Denmark")

    (found,) = await chat_list.search(alice, "denmark")

    assert (found.title, found.excerpt) == ("Denmark", "")


@pytest.mark.usefixtures("two")
async def test_the_newest_chats_are_found_first_and_not_too_many(
    chat_list: ChatList, alice: Identity
) -> None:
    assert [chat.id for chat in await chat_list.search(alice, "i")] == ["code", "sea"]
    assert [chat.id for chat in await chat_list.search(alice, "i", limit=1)] == ["code"]


async def test_a_reply_that_was_continued_is_found_by_its_end(
    chats: ChatRepository, streams: StreamRepository, chat_list: ChatList, alice: Identity
) -> None:
    claim = await streams.claim(alice, await ask(chats, alice, SEA))
    token = claim.fencing_token
    await streams.finish(
        alice,
        claim.stream_id,
        fencing_token=token,
        outcome="stopped",
        parts=[{"type": "text", "text": "To the"}],
    )
    again = await chats.continue_reply(alice, SEA, model="demo")

    await end(streams, alice, again.stream.id, "To the mountains.")

    assert [chat.id for chat in await chat_list.search(alice, "mountains")] == ["sea"]


@pytest.mark.usefixtures("two")
async def test_nobody_finds_or_changes_the_chat_of_somebody_else(
    chats: ChatRepository, chat_list: ChatList, alice: Identity, bob: Identity
) -> None:
    before = await chats.list_chats(alice)

    for attempt in (
        chat_list.pin(bob, SEA, pinned=True),
        chat_list.mark_read(bob, SEA),
        chat_list.discard(bob, SEA),
        chat_list.restore(bob, SEA),
        chat_list.pin(alice, NONE, pinned=True),
        chat_list.pin(alice, ChatId("\0"), pinned=True),
        chat_list.restore(alice, NONE),
    ):
        with pytest.raises(ChatNotFound):
            await attempt

    assert await chat_list.search(bob, "holiday") == ()
    assert await chats.list_chats(alice) == before


@pytest.mark.usefixtures("two")
async def test_a_pinned_chat_is_listed_apart_and_keeps_its_time(
    chats: ChatRepository, chat_list: ChatList, alice: Identity
) -> None:
    before = await chats.read_chat(alice, SEA)

    await chat_list.pin(alice, SEA, pinned=True)

    pinned = await chats.list_chats(alice, pinned=True)
    assert [(chat.id, chat.pinned) for chat in pinned.chats] == [("sea", True)]
    assert [chat.id for chat in (await chats.list_chats(alice, pinned=False)).chats] == ["code"]
    assert [chat.id for chat in (await chats.list_chats(alice)).chats] == ["code", "sea"]
    assert (await chats.read_chat(alice, SEA)).updated_at == before.updated_at
    await chat_list.pin(alice, SEA, pinned=False)
    assert (await chats.list_chats(alice, pinned=True)).chats == ()


async def unread(chats: ChatRepository, owner: Identity) -> list[str]:
    return [chat.id for chat in (await chats.list_chats(owner)).chats if chat.unread]


async def test_an_answer_is_unread_from_its_end_until_it_is_seen(
    chats: ChatRepository, streams: StreamRepository, chat_list: ChatList, alice: Identity
) -> None:
    stream = await ask(chats, alice, SEA)
    await chat_list.mark_read(alice, SEA)
    assert await unread(chats, alice) == []

    await end(streams, alice, stream)
    assert await unread(chats, alice) == ["sea"]

    await chat_list.mark_read(alice, SEA)
    assert await unread(chats, alice) == []


async def test_a_chat_that_is_being_answered_is_not_unread_yet(
    chats: ChatRepository, alice: Identity
) -> None:
    await ask(chats, alice, SEA)

    assert await unread(chats, alice) == []


@pytest.mark.usefixtures("two")
async def test_a_discarded_chat_appears_nowhere_until_it_is_restored(
    chats: ChatRepository, chat_list: ChatList, alice: Identity
) -> None:
    before = await chats.read_chat(alice, SEA)

    await chat_list.discard(alice, SEA)

    assert [chat.id for chat in (await chats.list_chats(alice)).chats] == ["code"]
    assert await chat_list.search(alice, "holiday") == ()
    for attempt in (
        chats.read_chat(alice, SEA),
        chats.rename(alice, SEA, title="Gone"),
        chats.newest_stream(alice, SEA),
        chat_list.discard(alice, SEA),
        chat_list.pin(alice, SEA, pinned=True),
        ask(chats, alice, SEA),
    ):
        with pytest.raises(ChatNotFound):
            await attempt

    await chat_list.restore(alice, SEA)
    await chat_list.restore(alice, SEA)
    assert await chats.read_chat(alice, SEA) == before


async def test_an_answer_in_a_discarded_chat_is_there_when_it_is_restored(
    chats: ChatRepository, streams: StreamRepository, chat_list: ChatList, alice: Identity
) -> None:
    stream = await ask(chats, alice, SEA)
    await chat_list.discard(alice, SEA)

    await end(streams, alice, stream)
    await chat_list.restore(alice, SEA)

    assert (await chats.read_chat(alice, SEA)).messages[-1].text == "To the sea."


@pytest.mark.usefixtures("two")
async def test_the_housekeeping_knows_the_discarded_chats(
    database: Database, chats: ChatRepository, chat_list: ChatList, alice: Identity
) -> None:
    await chat_list.discard(alice, SEA)
    now = datetime.now(UTC)

    housekeeping = Housekeeping(database)
    later = await housekeeping.discarded_chats(before=now + timedelta(seconds=1))
    sooner = await housekeeping.discarded_chats(before=now - timedelta(seconds=10))

    assert (later, sooner) == ([(alice.user_id, SEA)], [])
    assert await chats.delete(alice, SEA)
    assert await housekeeping.discarded_chats(before=now + timedelta(seconds=1)) == []


@pytest.mark.usefixtures("two")
async def test_a_model_names_a_chat_that_nobody_has_named(
    chats: ChatRepository, chat_list: ChatList, alice: Identity
) -> None:
    reply = (await chats.read_chat(alice, SEA)).messages[-1].id

    assert await chat_list.title_by_model(alice, SEA, title="Danish Isles", after=reply)
    assert not await chat_list.title_by_model(alice, SEA, title="Again", after=reply)

    assert (await chats.read_chat(alice, SEA)).title == "Danish Isles"
    assert [chat.id for chat in await chat_list.search(alice, "danish isles")] == ["sea"]


@pytest.mark.usefixtures("two")
async def test_the_name_an_owner_gave_is_never_replaced(
    chats: ChatRepository, chat_list: ChatList, alice: Identity, bob: Identity
) -> None:
    reply = (await chats.read_chat(alice, SEA)).messages[-1].id
    await chats.rename(alice, SEA, title="Mine")

    for owner, chat_id in ((alice, SEA), (bob, CODE), (alice, ChatId("\0"))):
        assert not await chat_list.title_by_model(owner, chat_id, title="No", after=reply)

    assert (await chats.read_chat(alice, SEA)).title == "Mine"
