"""A turn begins with the prompt and the stream that answers it in the database, or with neither."""

import pytest

from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.queries import text_parts
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ChatNotFound, InvalidRequest, TurnInProgress
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

pytestmark = pytest.mark.anyio

CHAT = ChatId("holiday")
FIRST, SECOND = MessageId("prompt-1"), MessageId("prompt-2")


@pytest.fixture
def chats(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def streams(database: Database) -> StreamRepository:
    return StreamRepository(database)


async def ask(
    chats: ChatRepository, owner: Identity, message_id: MessageId, text: str = "Where to?"
) -> StreamId:
    turn = await chats.begin_turn(
        owner, chat_id=CHAT, message_id=message_id, text=text, model="demo"
    )
    return turn.stream.id


async def finish(
    streams: StreamRepository, owner: Identity, stream_id: StreamId, text: str = "To the sea."
) -> None:
    claim = await streams.claim(owner, stream_id)
    await streams.finish(
        owner,
        stream_id,
        fencing_token=claim.fencing_token,
        parts=text_parts(text),
        outcome="completed",
    )


async def test_the_first_prompt_makes_the_chat(chats: ChatRepository, alice: Identity) -> None:
    turn = await chats.begin_turn(
        alice, chat_id=CHAT, message_id=FIRST, text="Where to?", model="demo"
    )

    chat = await chats.read_chat(alice, CHAT)
    assert turn.created
    assert turn.stream.open
    assert (turn.stream.chat_id, turn.stream.prompt_id, turn.stream.model) == (CHAT, FIRST, "demo")
    assert chat.title == "Where to?"
    assert [(m.id, m.role, m.text, m.status) for m in chat.messages] == [
        (FIRST, "user", "Where to?", "complete")
    ]
    assert chat.open_stream == turn.stream


async def test_the_second_turn_follows_the_first(
    chats: ChatRepository, streams: StreamRepository, alice: Identity
) -> None:
    first = await ask(chats, alice, FIRST, "Where to?")
    await finish(streams, alice, first, "To the sea.")

    second = await ask(chats, alice, SECOND, "And then?")

    chat = await chats.read_chat(alice, CHAT)
    assert chat.newest_stream is not None
    assert chat.newest_stream.id == second
    assert [message.text for message in chat.messages] == ["Where to?", "To the sea.", "And then?"]


@pytest.mark.parametrize("finished", [False, True])
async def test_a_prompt_sent_again_is_the_same_turn(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, finished: bool
) -> None:
    stream_id = await ask(chats, alice, FIRST)
    if finished:
        await finish(streams, alice, stream_id)
    before = await chats.read_chat(alice, CHAT)

    again = await chats.begin_turn(
        alice, chat_id=CHAT, message_id=FIRST, text="Where to?", model="demo"
    )

    assert not again.created
    assert again.stream == before.newest_stream
    assert await chats.read_chat(alice, CHAT) == before


async def test_a_prompt_sent_again_leads_to_its_newest_stream(
    chats: ChatRepository, streams: StreamRepository, alice: Identity
) -> None:
    await finish(streams, alice, await ask(chats, alice, FIRST))
    newer = await chats.regenerate(alice, CHAT, model="demo")

    assert await ask(chats, alice, FIRST) == newer.stream.id


async def test_a_chat_that_is_being_answered_takes_no_other_prompt(
    chats: ChatRepository, alice: Identity
) -> None:
    open_stream = await ask(chats, alice, FIRST)
    before = await chats.read_chat(alice, CHAT)

    with pytest.raises(TurnInProgress) as refused:
        await ask(chats, alice, SECOND)

    assert refused.value.stream_id == open_stream
    assert await chats.read_chat(alice, CHAT) == before


async def test_the_id_of_a_reply_cannot_be_used_for_a_prompt(
    chats: ChatRepository, streams: StreamRepository, alice: Identity
) -> None:
    await finish(streams, alice, await ask(chats, alice, FIRST))
    reply = (await chats.read_chat(alice, CHAT)).messages[-1]

    with pytest.raises(InvalidRequest):
        await ask(chats, alice, reply.id)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x" * 129,
        "a\x00b",
        "line\n",
        "lone \ud800",
        "a/b",
        "..",
        "a b",
        "é",
        "٣",
        "a?b",
        "a%20b",
    ],
)
async def test_impossible_ids_are_refused(
    chats: ChatRepository, alice: Identity, wrong: str
) -> None:
    for chat_id, message_id in ((wrong, "fine"), ("fine", wrong)):
        with pytest.raises(InvalidRequest):
            await chats.begin_turn(
                alice,
                chat_id=ChatId(chat_id),
                message_id=MessageId(message_id),
                text="Where to?",
                model="demo",
            )
    with pytest.raises(ChatNotFound):
        await chats.read_chat(alice, ChatId(wrong))
    assert (await chats.list_chats(alice)).chats == ()


async def test_the_longest_id_fits(chats: ChatRepository, alice: Identity) -> None:
    longest = "a-_Z" * 32

    await chats.begin_turn(
        alice, chat_id=ChatId(longest), message_id=MessageId(longest), text="Hi", model="demo"
    )

    chat = await chats.read_chat(alice, ChatId(longest))
    assert (chat.id, chat.messages[0].id) == (longest, longest)


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("Where to?\nAnd when?", "Where to?"),
        ("\n  \n  Where to?  \n", "Where to?"),
        ("   ", "New chat"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("x" * 58 + "  yz", "x" * 58 + "…"),
    ],
)
async def test_a_chat_is_called_by_the_first_line_of_its_first_prompt(
    chats: ChatRepository, alice: Identity, prompt: str, title: str
) -> None:
    await ask(chats, alice, FIRST, prompt)

    assert (await chats.read_chat(alice, CHAT)).title == title


async def test_a_prompt_is_stored_as_it_was_written(chats: ChatRepository, alice: Identity) -> None:
    text = '  naïve 🏝️\r\n\ttabs, "quotes" and \\backslashes\\\u2028' + "long " * 10_000

    await ask(chats, alice, FIRST, text)

    message = (await chats.read_chat(alice, CHAT)).messages[0]
    assert message.parts == ({"type": "text", "text": text},)
