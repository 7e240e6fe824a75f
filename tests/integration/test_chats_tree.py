"""Messages form a tree: a replacement stands beside the message it replaces; one path is shown."""

import pytest

from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, MessageId, Place
from chat_app.chats.queries import text_parts
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ChatNotFound, InvalidRequest, TurnInProgress
from chat_app.identity.identity import Identity
from chat_app.streams.model import OutcomeKind, StreamId

pytestmark = pytest.mark.anyio

CHAT = ChatId("holiday")
FIRST, SECOND, THIRD = MessageId("prompt-1"), MessageId("prompt-2"), MessageId("prompt-3")


@pytest.fixture
def chats(database: Database) -> ChatRepository:
    return ChatRepository(database)


@pytest.fixture
def streams(database: Database) -> StreamRepository:
    return StreamRepository(database)


class Talk:
    """Shorthand for actions in a chat of Alice's."""

    def __init__(self, chats: ChatRepository, streams: StreamRepository, owner: Identity) -> None:
        self._chats = chats
        self._streams = streams
        self._owner = owner

    async def ask(
        self,
        message_id: MessageId,
        *,
        parent_id: MessageId | Place | None = Place.ACTIVE,
        edited_id: MessageId | None = None,
    ) -> StreamId:
        """Send a prompt, with its id as the text."""
        begun = await self._chats.begin_turn(
            self._owner,
            chat_id=CHAT,
            message_id=message_id,
            text=message_id,
            model="demo",
            parent_id=parent_id,
            edited_id=edited_id,
        )
        return begun.stream.id

    async def regenerate(self, message_id: MessageId | None = None) -> StreamId:
        """Regenerate a reply."""
        begun = await self._chats.regenerate(
            self._owner, CHAT, message_id=message_id, model="other"
        )
        return begun.stream.id

    async def continue_reply(self, message_id: MessageId | None = None) -> StreamId:
        """Continue a reply."""
        begun = await self._chats.continue_reply(
            self._owner, CHAT, message_id=message_id, model="other"
        )
        return begun.stream.id

    async def end(
        self, stream_id: StreamId, text: str, outcome: OutcomeKind = "completed", **meta: str
    ) -> MessageId:
        """Finish a stream with its whole reply; return the id of the reply."""
        claim = await self._streams.claim(self._owner, stream_id)
        await self._streams.finish(
            self._owner,
            stream_id,
            fencing_token=claim.fencing_token,
            parts=text_parts(text),
            outcome=outcome,
            meta=meta,
        )
        return claim.reply_id

    async def history(self, stream_id: StreamId) -> list[str]:
        """Return the texts that the model is given."""
        claim = await self._streams.claim(self._owner, stream_id)
        return [message.text for message in claim.history]

    async def path(self) -> list[str]:
        """Return the texts of the branch that is shown."""
        chat = await self._chats.read_chat(self._owner, CHAT)
        return [message.text for message in chat.active_path]

    async def siblings(self, message_id: MessageId) -> tuple[MessageId, ...]:
        """Return a message with its siblings."""
        return (await self._chats.read_chat(self._owner, CHAT)).siblings(message_id)


@pytest.fixture
def talk(chats: ChatRepository, streams: StreamRepository, alice: Identity) -> Talk:
    return Talk(chats, streams, alice)


async def test_a_prompt_follows_the_newest_message(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    reply = await talk.end(await talk.ask(FIRST), "one")
    await talk.ask(SECOND)

    chat = await chats.read_chat(alice, CHAT)
    assert [(message.id, message.parent_id) for message in chat.messages] == [
        (FIRST, None),
        (reply, FIRST),
        (SECOND, reply),
    ]
    assert await talk.path() == [FIRST, "one", SECOND]


async def test_a_prompt_follows_the_message_it_names(talk: Talk) -> None:
    reply = await talk.end(await talk.ask(FIRST), "one")
    await talk.end(await talk.ask(SECOND), "two")

    other = await talk.ask(THIRD, parent_id=reply)

    assert await talk.path() == await talk.history(other) == [FIRST, "one", THIRD]
    assert await talk.siblings(THIRD) == (SECOND, THIRD)


async def test_a_prompt_can_start_the_chat_over(talk: Talk) -> None:
    await talk.end(await talk.ask(FIRST), "one")

    other = await talk.ask(SECOND, parent_id=None)

    assert await talk.path() == await talk.history(other) == [SECOND]
    assert await talk.siblings(FIRST) == (FIRST, SECOND)


async def test_a_prompt_can_follow_one_that_was_never_answered(talk: Talk) -> None:
    await talk.end(await talk.ask(FIRST), "", "failed")

    stream_id = await talk.ask(SECOND)

    assert await talk.path() == await talk.history(stream_id) == [FIRST, SECOND]


async def test_an_edited_prompt_stands_beside_the_one_before(talk: Talk) -> None:
    await talk.end(await talk.ask(FIRST), "one")
    await talk.end(await talk.ask(SECOND), "two")

    edited = await talk.ask(THIRD, edited_id=SECOND)
    again = await talk.ask(THIRD, edited_id=SECOND)

    assert again == edited
    assert await talk.siblings(SECOND) == (SECOND, THIRD)
    assert await talk.path() == await talk.history(edited) == [FIRST, "one", THIRD]


async def test_what_is_not_a_prompt_of_the_chat_can_be_neither_edited_nor_followed(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    with pytest.raises(ChatNotFound):
        await talk.ask(SECOND, edited_id=FIRST)
    reply = await talk.end(await talk.ask(FIRST), "one")
    before = await chats.read_chat(alice, CHAT)

    for wrong in (reply, MessageId("unheard-of"), MessageId("\0")):
        with pytest.raises(InvalidRequest):
            await talk.ask(SECOND, edited_id=wrong)
    for wrong in (MessageId("unheard-of"), MessageId("\0")):
        with pytest.raises(InvalidRequest):
            await talk.ask(SECOND, parent_id=wrong)

    assert await chats.read_chat(alice, CHAT) == before


# Regenerating a reply


@pytest.mark.parametrize("named", ["nothing", "the reply", "the prompt"])
async def test_another_reply_stands_beside_the_one_before(
    talk: Talk, chats: ChatRepository, alice: Identity, named: str
) -> None:
    first = await talk.end(await talk.ask(FIRST), "one")

    stream_id = await talk.regenerate({"the reply": first, "the prompt": FIRST}.get(named))

    assert await talk.path() == await talk.history(stream_id) == [FIRST]
    under_way = await chats.newest_stream(alice, CHAT)
    assert under_way is not None
    assert (under_way.id, under_way.model) == (stream_id, "other")
    assert await talk.siblings(under_way.reply_id) == (first, under_way.reply_id)
    assert await talk.end(stream_id, "another") == under_way.reply_id
    assert await talk.siblings(first) == (first, under_way.reply_id)
    assert await talk.path() == [FIRST, "another"]


async def test_a_regeneration_in_mid_chat_is_not_given_the_later_messages(talk: Talk) -> None:
    first = await talk.end(await talk.ask(FIRST), "one")
    await talk.end(await talk.ask(SECOND), "two")

    stream_id = await talk.regenerate(first)

    assert await talk.history(stream_id) == [FIRST]
    await talk.end(stream_id, "another")
    assert await talk.path() == [FIRST, "another"]


async def test_another_reply_that_fails_without_a_word_leaves_the_one_before(talk: Talk) -> None:
    await talk.end(await talk.ask(FIRST), "one")

    await talk.end(await talk.regenerate(), "", "failed")

    assert await talk.path() == [FIRST, "one"]


async def test_a_reply_that_failed_without_a_word_can_be_regenerated_by_its_id(talk: Talk) -> None:
    failed = await talk.end(await talk.ask(FIRST), "", "failed")

    await talk.end(await talk.regenerate(failed), "one")

    assert await talk.path() == [FIRST, "one"]


async def test_regenerating_again_while_the_reply_is_being_made_is_the_same_stream(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    first = await talk.end(await talk.ask(FIRST), "one")
    open_stream = await talk.regenerate(first)

    for message_id in (first, FIRST, None):
        begun = await chats.regenerate(alice, CHAT, message_id=message_id, model="demo")
        assert (begun.stream.id, begun.created) == (open_stream, False)


async def test_nothing_else_can_begin_while_a_stream_is_open(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    stopped = await talk.end(await talk.ask(FIRST), "one", "stopped")
    open_stream = await talk.ask(SECOND)
    before = await chats.read_chat(alice, CHAT)

    for attempt in (
        talk.ask(THIRD),
        talk.ask(THIRD, edited_id=FIRST),
        talk.regenerate(stopped),
        talk.continue_reply(stopped),
        chats.activate(alice, CHAT, message_id=FIRST),
    ):
        with pytest.raises(TurnInProgress) as refused:
            await attempt
        assert refused.value.stream_id == open_stream

    assert await chats.read_chat(alice, CHAT) == before


@pytest.mark.parametrize("wrong", ["unheard-of", "\0"])
async def test_a_missing_message_can_be_neither_regenerated_nor_continued(
    talk: Talk, wrong: str
) -> None:
    await talk.end(await talk.ask(FIRST), "one")

    with pytest.raises(InvalidRequest):
        await talk.regenerate(MessageId(wrong))
    with pytest.raises(InvalidRequest):
        await talk.continue_reply(MessageId(wrong))


# Continuing a reply


@pytest.mark.parametrize("outcome", ["stopped", "failed", "interrupted"])
async def test_a_reply_that_ended_too_early_goes_on_as_the_same_message(
    talk: Talk,
    chats: ChatRepository,
    streams: StreamRepository,
    alice: Identity,
    outcome: OutcomeKind,
) -> None:
    reply = await talk.end(await talk.ask(FIRST), "To the ", outcome, note="kept")

    stream_id = await talk.continue_reply(reply)

    message = (await chats.read_chat(alice, CHAT)).active_path[-1]
    assert (message.id, message.text, message.status) == (reply, "To the ", "unfinished")
    claim = await streams.claim(alice, stream_id)
    assert (claim.reply_id, claim.model, claim.parts) == (reply, "demo", message.parts)
    assert claim.meta == {"model": "demo", "note": "kept"}
    assert [message.text for message in claim.history] == [FIRST]
    await talk.end(stream_id, "To the sea.")
    [_, message] = (await chats.read_chat(alice, CHAT)).messages
    assert (message.id, message.text, message.status) == (reply, "To the sea.", "complete")


async def test_a_reply_that_is_being_continued_is_one_stream(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    reply = await talk.end(await talk.ask(FIRST), "To the ", "stopped")
    open_stream = await talk.continue_reply()

    for message_id in (reply, None):
        begun = await chats.continue_reply(alice, CHAT, message_id=message_id, model="demo")
        assert (begun.stream.id, begun.created) == (open_stream, False)
    with pytest.raises(TurnInProgress):
        await talk.regenerate(reply)


async def test_a_reply_that_was_too_long_goes_on(talk: Talk) -> None:
    await talk.end(await talk.ask(FIRST), "To the ", finish_reason="length")

    await talk.end(await talk.continue_reply(), "To the sea.", finish_reason="stop")

    assert await talk.path() == [FIRST, "To the sea."]


async def test_a_reply_that_is_complete_or_no_longer_last_cannot_be_continued(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    stopped = await talk.end(await talk.ask(FIRST), "one", "stopped")
    complete = await talk.end(await talk.ask(SECOND), "two", finish_reason="stop")
    before = await chats.read_chat(alice, CHAT)

    for reply in (stopped, complete):
        with pytest.raises(InvalidRequest):
            await talk.continue_reply(reply)

    assert await chats.read_chat(alice, CHAT) == before


async def test_continuing_a_reply_that_has_no_text_regenerates_it(talk: Talk) -> None:
    failed = await talk.end(await talk.ask(FIRST), "", "failed")

    stream_id = await talk.continue_reply(failed)

    assert await talk.continue_reply() == stream_id
    await talk.end(stream_id, "one")
    assert await talk.path() == [FIRST, "one"]


@pytest.mark.parametrize("known", [[], text_parts("")])
async def test_a_continued_reply_is_never_less_than_before(
    talk: Talk, streams: StreamRepository, alice: Identity, known: list[dict[str, str]]
) -> None:
    await talk.end(await talk.ask(FIRST), "To the ", "stopped")
    stream_id = await talk.continue_reply()
    token = (await streams.claim(alice, stream_id)).fencing_token

    await streams.finish(alice, stream_id, fencing_token=token, parts=known, outcome="stopped")

    assert await talk.path() == [FIRST, "To the "]


@pytest.mark.parametrize(
    ("before", "checkpoint", "after"),
    [
        ([{"type": "text", "text": "To"}], "To the", [{"type": "text", "text": "To the"}]),
        (
            [{"type": "text", "text": "To"}, {"type": "reasoning", "text": "?"}],
            "To the",
            [
                {"type": "text", "text": "To"},
                {"type": "reasoning", "text": "?"},
                {"type": "text", "text": " the"},
            ],
        ),
        ([{"type": "text", "text": "To"}], "", [{"type": "text", "text": "To"}]),
    ],
)
async def test_a_continued_reply_with_only_its_checkpoint_left_keeps_its_parts(
    talk: Talk,
    chats: ChatRepository,
    streams: StreamRepository,
    alice: Identity,
    before: list[dict[str, str]],
    checkpoint: str,
    after: list[dict[str, str]],
) -> None:
    first = await talk.ask(FIRST)
    token = (await streams.claim(alice, first)).fencing_token
    await streams.finish(alice, first, fencing_token=token, parts=before, outcome="stopped")
    stream_id = await talk.continue_reply()
    token = (await streams.claim(alice, stream_id)).fencing_token
    await streams.checkpoint(alice, stream_id, fencing_token=token, text=checkpoint, tail=3)

    await streams.finish(alice, stream_id, fencing_token=token, outcome="interrupted")

    reply = (await chats.read_chat(alice, CHAT)).messages[-1]
    assert (list(reply.parts), reply.status) == (after, "interrupted")


# Withdrawing a turn


async def test_a_withdrawn_continuation_leaves_the_reply_as_it_was(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    await talk.end(await talk.ask(FIRST), "To the ", "stopped")
    before = await chats.read_chat(alice, CHAT)

    assert await chats.withdraw_turn(alice, CHAT, await talk.continue_reply())

    after = await chats.read_chat(alice, CHAT)
    assert (after.messages, after.active_path) == (before.messages, before.active_path)


async def test_a_withdrawn_prompt_leaves_the_branch_as_it_was(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    await talk.end(await talk.ask(FIRST), "one")
    await talk.end(await talk.ask(SECOND), "two")
    before = await chats.read_chat(alice, CHAT)

    for stream_id in (talk.ask(THIRD), talk.ask(THIRD, edited_id=SECOND), talk.regenerate()):
        assert await chats.withdraw_turn(alice, CHAT, await stream_id)

        after = await chats.read_chat(alice, CHAT)
        assert (after.messages, after.active_path) == (before.messages, before.active_path)


# Which branch is shown


async def test_an_activated_branch_is_shown_down_to_its_newest_message(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    await talk.end(await talk.ask(FIRST), "one")
    await talk.end(await talk.ask(SECOND), "two")
    await talk.end(await talk.ask(THIRD, edited_id=SECOND), "three")
    assert await talk.path() == [FIRST, "one", THIRD, "three"]

    await chats.activate(alice, CHAT, message_id=SECOND)
    assert await talk.path() == [FIRST, "one", SECOND, "two"]

    await chats.activate(alice, CHAT, message_id=FIRST)
    assert await talk.path() == [FIRST, "one", THIRD, "three"]


@pytest.mark.parametrize("wrong", ["unheard-of", "\0"])
async def test_a_missing_message_cannot_be_activated(
    talk: Talk, chats: ChatRepository, alice: Identity, wrong: str
) -> None:
    await talk.end(await talk.ask(FIRST), "one")

    with pytest.raises(InvalidRequest):
        await chats.activate(alice, CHAT, message_id=MessageId(wrong))


# Renaming and deleting


async def test_a_new_name_leaves_a_chat_at_its_place(
    talk: Talk, chats: ChatRepository, alice: Identity
) -> None:
    await talk.end(await talk.ask(FIRST), "one")
    before = await chats.read_chat(alice, CHAT)

    await chats.rename(alice, CHAT, title="By the sea")

    after = await chats.read_chat(alice, CHAT)
    assert (after.title, after.updated_at) == ("By the sea", before.updated_at)


async def test_a_chat_that_is_deleted_leaves_nothing(
    talk: Talk, chats: ChatRepository, streams: StreamRepository, alice: Identity
) -> None:
    first = await talk.ask(FIRST)
    await talk.end(first, "one")
    second = await talk.ask(SECOND, edited_id=FIRST)

    assert set(await chats.delete(alice, CHAT)) == {first, second}

    for attempt in (
        chats.read_chat(alice, CHAT),
        chats.delete(alice, CHAT),
        streams.claim(alice, second),
    ):
        with pytest.raises(ChatNotFound):
            await attempt
    assert (await chats.list_chats(alice)).chats == ()
    assert await talk.ask(FIRST) not in (first, second)


async def test_nobody_changes_a_chat_of_somebody_else(
    talk: Talk, chats: ChatRepository, alice: Identity, bob: Identity
) -> None:
    reply = await talk.end(await talk.ask(FIRST), "one", "stopped")
    before = await chats.read_chat(alice, CHAT)

    for attempt in (
        chats.regenerate(bob, CHAT, message_id=reply, model="demo"),
        chats.continue_reply(bob, CHAT, message_id=reply, model="demo"),
        chats.begin_turn(
            bob, chat_id=CHAT, message_id=SECOND, text="Mine!", model="demo", edited_id=FIRST
        ),
        chats.activate(bob, CHAT, message_id=FIRST),
        chats.rename(bob, CHAT, title="Mine!"),
        chats.delete(bob, CHAT),
    ):
        with pytest.raises(ChatNotFound):
            await attempt

    assert await chats.read_chat(alice, CHAT) == before
    assert (await chats.list_chats(bob)).chats == ()
