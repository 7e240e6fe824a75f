"""The row of a stream: claimed, checkpointed, finished once."""

import pytest

from chat_app.chats.database import Database
from chat_app.chats.models import BegunTurn, ChatId, MessageId
from chat_app.chats.queries import text_parts
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ChatNotFound, Fenced
from chat_app.identity.identity import Identity
from chat_app.streams.model import OutcomeKind, StreamId

pytestmark = pytest.mark.anyio

CHAT = ChatId("holiday")
PROMPT = MessageId("prompt-1")


@pytest.fixture
def chats(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def streams(database: Database) -> StreamRepository:
    return StreamRepository(database)


@pytest.fixture
async def stream_id(chats: ChatRepository, alice: Identity) -> StreamId:
    """An open stream that no producer has claimed."""
    turn = await chats.begin_turn(
        alice, chat_id=CHAT, message_id=PROMPT, text="Where to?", model="demo"
    )
    return turn.stream.id


async def test_a_claim_holds_all_that_a_producer_needs(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    claim = await streams.claim(alice, stream_id)

    stream = await chats.newest_stream(alice, CHAT)
    assert stream is not None
    assert (claim.stream_id, claim.reply_id, claim.model) == (stream_id, stream.reply_id, "demo")
    assert (claim.parts, claim.meta) == ((), {})
    assert [(message.role, message.text) for message in claim.history] == [("user", "Where to?")]
    assert (claim.fencing_token, claim.checkpoint, claim.tail) == (1, "", 0)
    assert (claim.outcome, claim.error_code) == (None, None)


async def test_the_history_ends_with_the_prompt(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    await streams.claim(alice, stream_id)
    await streams.finish(
        alice, stream_id, fencing_token=1, parts=text_parts("To the sea."), outcome="completed"
    )
    again = await chats.regenerate(alice, CHAT, message_id=PROMPT, model="demo")

    claim = await streams.claim(alice, again.stream.id)

    assert [message.text for message in claim.history] == ["Where to?"]


async def test_a_takeover_goes_on_from_the_checkpoint(
    streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    first = await streams.claim(alice, stream_id)
    await streams.checkpoint(
        alice, stream_id, fencing_token=first.fencing_token, text="To t", tail=7
    )

    second = await streams.claim(alice, stream_id)

    assert second.fencing_token == first.fencing_token + 1
    assert (second.checkpoint, second.tail) == ("To t", 7)


async def test_after_a_takeover_the_old_producer_writes_nothing(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    old = await streams.claim(alice, stream_id)
    await streams.claim(alice, stream_id)

    with pytest.raises(Fenced):
        await streams.checkpoint(
            alice, stream_id, fencing_token=old.fencing_token, text="old", tail=0
        )
    with pytest.raises(Fenced):
        await streams.finish(
            alice,
            stream_id,
            fencing_token=old.fencing_token,
            parts=text_parts("old"),
            outcome="completed",
        )

    assert (await streams.claim(alice, stream_id)).checkpoint == ""
    assert len((await chats.read_chat(alice, CHAT)).messages) == 1


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        ("completed", "complete", None),
        ("stopped", "stopped", None),
        ("failed", "failed", "provider_unavailable"),
        ("interrupted", "interrupted", None),
    ],
)
async def test_the_end_of_a_stream_is_recorded_in_its_row_and_its_reply(
    chats: ChatRepository,
    streams: StreamRepository,
    alice: Identity,
    stream_id: StreamId,
    outcome: OutcomeKind,
    status: str,
    code: str | None,
) -> None:
    claim = await streams.claim(alice, stream_id)

    await streams.finish(
        alice,
        stream_id,
        fencing_token=claim.fencing_token,
        parts=text_parts("To the sea."),
        outcome=outcome,
        error_code=code,
        meta={"usage": {"completion_tokens": 3}},
    )

    chat = await chats.read_chat(alice, CHAT)
    reply, stream = chat.messages[-1], chat.newest_stream
    assert (reply.id, reply.role, reply.text) == (claim.reply_id, "assistant", "To the sea.")
    assert reply.status == status
    assert reply.meta == {"model": "demo", "usage": {"completion_tokens": 3}}
    assert stream is not None
    assert (stream.outcome, stream.error_code) == (outcome, code)
    assert stream.closed_at == reply.created_at


async def test_a_reply_may_be_more_than_text(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    parts = [{"type": "reasoning", "text": "Hmm."}, {"type": "text", "text": "To the sea."}]
    claim = await streams.claim(alice, stream_id)

    await streams.finish(
        alice, stream_id, fencing_token=claim.fencing_token, parts=parts, outcome="completed"
    )

    reply = (await chats.read_chat(alice, CHAT)).messages[-1]
    assert list(reply.parts) == parts
    assert reply.text == "To the sea."


async def test_an_empty_reply_leaves_no_message(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    claim = await streams.claim(alice, stream_id)

    await streams.finish(
        alice, stream_id, fencing_token=claim.fencing_token, parts=text_parts(""), outcome="stopped"
    )

    chat = await chats.read_chat(alice, CHAT)
    assert [message.role for message in chat.messages] == ["user"]
    assert chat.open_stream is None


async def test_finishing_twice_changes_nothing(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    token = (await streams.claim(alice, stream_id)).fencing_token
    await streams.finish(
        alice, stream_id, fencing_token=token, parts=text_parts("First."), outcome="completed"
    )
    before = await chats.read_chat(alice, CHAT)

    await streams.finish(
        alice, stream_id, fencing_token=token, parts=text_parts("Second."), outcome="failed"
    )

    assert await chats.read_chat(alice, CHAT) == before


async def test_a_checkpoint_that_comes_after_the_end_changes_nothing(
    streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    token = (await streams.claim(alice, stream_id)).fencing_token
    await streams.finish(
        alice, stream_id, fencing_token=token, parts=text_parts("Done."), outcome="completed"
    )

    await streams.checkpoint(alice, stream_id, fencing_token=token, text="More.", tail=9)

    claim = await streams.claim(alice, stream_id)
    assert (claim.outcome, claim.checkpoint, claim.tail) == ("completed", "", 0)
    with pytest.raises(Fenced):
        await streams.checkpoint(alice, stream_id, fencing_token=token, text="More.", tail=9)


@pytest.mark.parametrize("text", ["To the sea.", ""])
async def test_a_claim_of_a_closed_stream_tells_how_it_ended(
    streams: StreamRepository, alice: Identity, stream_id: StreamId, text: str
) -> None:
    first = await streams.claim(alice, stream_id)
    await streams.finish(
        alice,
        stream_id,
        fencing_token=first.fencing_token,
        parts=text_parts(text),
        outcome="failed",
        error_code="provider_unavailable",
    )

    second = await streams.claim(alice, stream_id)

    assert (second.outcome, second.error_code) == ("failed", "provider_unavailable")
    assert second.checkpoint == ""
    assert second.fencing_token > first.fencing_token


@pytest.mark.parametrize("wrong", ["unheard-of", "", "a\x00b"])
async def test_a_stream_that_does_not_exist_is_not_found(
    streams: StreamRepository, alice: Identity, wrong: str
) -> None:
    stream_id = StreamId(wrong)

    with pytest.raises(ChatNotFound):
        await streams.claim(alice, stream_id)
    with pytest.raises(ChatNotFound):
        await streams.checkpoint(alice, stream_id, fencing_token=1, text="text", tail=0)
    with pytest.raises(ChatNotFound):
        await streams.finish(
            alice, stream_id, fencing_token=1, parts=text_parts(""), outcome="stopped"
        )


async def test_a_withdrawn_turn_leaves_no_trace(
    chats: ChatRepository, alice: Identity, stream_id: StreamId
) -> None:
    assert await chats.withdraw_turn(alice, CHAT, stream_id)

    assert (await chats.list_chats(alice)).chats == ()
    again = await chats.begin_turn(
        alice, chat_id=CHAT, message_id=PROMPT, text="Where to?", model="demo"
    )
    assert again.created


async def test_withdrawing_a_turn_keeps_the_turns_before_it(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    token = (await streams.claim(alice, stream_id)).fencing_token
    await streams.finish(
        alice, stream_id, fencing_token=token, parts=text_parts("Done."), outcome="completed"
    )
    before = await chats.read_chat(alice, CHAT)
    again = await chats.regenerate(alice, CHAT, model="demo")

    assert await chats.withdraw_turn(alice, CHAT, again.stream.id)

    after = await chats.read_chat(alice, CHAT)
    assert (after.messages, after.newest_stream) == (before.messages, before.newest_stream)


@pytest.mark.parametrize("what", ["prompt", "reply"])
async def test_a_turn_that_was_requested_again_is_not_withdrawn(
    chats: ChatRepository,
    streams: StreamRepository,
    alice: Identity,
    stream_id: StreamId,
    what: str,
) -> None:
    async def ask() -> BegunTurn:
        if what == "reply":
            return await chats.regenerate(alice, CHAT, model="demo")
        return await chats.begin_turn(
            alice, chat_id=CHAT, message_id=PROMPT, text="Where to?", model="demo"
        )

    if what == "reply":
        token = (await streams.claim(alice, stream_id)).fencing_token
        await streams.finish(alice, stream_id, fencing_token=token, outcome="failed")
        stream_id = (await ask()).stream.id
    again = await ask()
    assert (again.created, again.stream.id) == (False, stream_id)

    assert not await chats.withdraw_turn(alice, CHAT, stream_id)

    newest = (await chats.read_chat(alice, CHAT)).newest_stream
    assert newest is not None
    assert newest.id == stream_id


async def test_a_turn_that_a_producer_has_claimed_is_not_withdrawn(
    chats: ChatRepository, streams: StreamRepository, alice: Identity, stream_id: StreamId
) -> None:
    await streams.claim(alice, stream_id)
    before = await chats.read_chat(alice, CHAT)

    assert not await chats.withdraw_turn(alice, CHAT, stream_id)

    assert await chats.read_chat(alice, CHAT) == before
