"""A generation that outlives its producer: continued, fenced, closed, interrupted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import pytest
import redis

from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ChatNotFound, Fenced, StreamNotFound
from chat_app.generation.llm import Delta, Finish
from chat_app.identity.identity import Identity
from chat_app.streams import frame
from chat_app.streams.model import Outcome, OutcomeKind, StreamId
from tests.support.generating import begun, ended, store_rewound
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import (
    NEVER,
    TOO_LONG,
    ServerProcess,
    events,
    server_process,
    text_of,
)

pytestmark = pytest.mark.anyio

SOON = timedelta(milliseconds=5)
MORE_THAN_A_PRODUCER_MAY_BE_AHEAD = "mountains " * 100_000


class Checkpoints(StreamRepository):
    """A database that reports each checkpoint and may fail the first ones.

    Attributes:
        kept: The text of the newest checkpoint.
        tries: How many checkpoints it was given.
        refusals: How many came from a producer whose claim was no longer the newest.
    """

    def __init__(self, database: Database, *, failures: int = 0) -> None:
        super().__init__(database)
        self.kept: str | None = None
        self.tries = self.refusals = 0
        self._failures = failures
        self._changed = asyncio.Event()

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, fencing_token: int, text: str, tail: int
    ) -> None:
        self.tries += 1
        if self.tries <= self._failures:
            raise OSError("the disk is full")
        try:
            await super().checkpoint(
                identity, stream_id, fencing_token=fencing_token, text=text, tail=tail
            )
        except Fenced:
            self.refusals += 1
            self._changed.set()
            raise
        self.kept = text
        self._changed.set()

    async def until(self, *, kept: str) -> None:
        """Wait until the newest checkpoint is `kept`."""
        with anyio.fail_after(TOO_LONG):
            while self.kept != kept:
                self._changed.clear()
                await self._changed.wait()

    async def refused(self) -> None:
        """Wait until a checkpoint was refused."""
        with anyio.fail_after(TOO_LONG):
            while not self.refusals:
                self._changed.clear()
                await self._changed.wait()


class DiesBeforeClosingTheLog(StreamRepository):
    """The database of a process that dies right after it has saved a reply."""

    async def finish(self, *args: Any, **options: Any) -> None:
        await super().finish(*args, **options)
        raise asyncio.CancelledError


@pytest.fixture
async def here(
    redis_url: str, database: Database, model: ScriptedLLM
) -> AsyncGenerator[ServerProcess]:
    async with server_process(redis_url, database, model) as process:
        yield process


@pytest.fixture
async def elsewhere(
    redis_url: str, other_process: Database, other_model: ScriptedLLM
) -> AsyncGenerator[ServerProcess]:
    async with server_process(redis_url, other_process, other_model) as process:
        yield process


async def test_a_cancelled_generation_is_continued_elsewhere_as_the_same_reply(
    here: ServerProcess,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To ", "the ", until="To the ")
    first.cancel()
    await ended(first)
    assert (await here.log.state(stream_id)).outcome is None
    assert (await here.chat(alice)).open_stream is not None

    other_model.say("sea.", Finish())
    with anyio.fail_after(TOO_LONG):
        await elsewhere.producer.produce(alice, stream_id)

    data = await elsewhere.everything(stream_id)
    reply = (await here.chat(alice)).messages[-1]
    assert [prompt.prefix for prompt in other_model.prompts] == ["To the "]
    assert (reply.text, reply.status) == ("To the sea.", "complete")
    assert text_of(data) == "To the sea."
    starts = [event["messageId"] for event in events(data) if event["type"] == "start"]
    assert starts == [reply.id]
    assert (reply.meta["model_calls"], reply.meta["takeovers"]) == (2, 1)
    assert "first_delta_ms" not in reply.meta  # it died with the first process


async def test_an_abandoned_producer_can_write_no_more_in_the_log_or_the_database(
    here: ServerProcess,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To the ", until="To the ")
    second = asyncio.create_task(elsewhere.producer.produce(alice, stream_id))
    with anyio.fail_after(TOO_LONG):
        await other_model.asked()
    model.say("mountains", Finish())
    await ended(first)
    other_model.say("sea.", Finish())
    await ended(second)

    reply = (await here.chat(alice)).messages[-1]
    data = await here.everything(stream_id)
    assert (reply.text, reply.status) == ("To the sea.", "complete")
    assert text_of(data) == "To the sea."
    assert first.exception() is None


async def test_an_abandoned_producer_notices_while_its_model_speaks(
    here: ServerProcess,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream_id, first = await begun(here, model, alice, "To the ", until="To the ")
    second = asyncio.create_task(elsewhere.producer.produce(alice, stream_id))
    with anyio.fail_after(TOO_LONG):
        await other_model.asked()

    model.say(MORE_THAN_A_PRODUCER_MAY_BE_AHEAD, "and")
    await ended(first)

    assert first.exception() is None
    assert model.at_work == 0
    assert [record for record in caplog.records if record.exc_info] == []
    other_model.say("sea.", Finish())
    await ended(second)
    assert text_of(await here.everything(stream_id)) == "To the sea."


async def test_a_producer_whose_claim_is_old_does_not_finish(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id, first = await begun(here, model, alice, "To the ", until="To the ")
    await StreamRepository(here.database).claim(alice, stream_id)

    model.say("sea.", Finish())
    await ended(first)

    chat = await here.chat(alice)
    assert [message.role for message in chat.messages] == ["user"]
    assert chat.open_stream is not None
    assert (await here.log.state(stream_id)).outcome is None
    assert first.exception() is None


async def test_a_takeover_in_the_middle_of_reasoning_goes_on_with_it(
    here: ServerProcess,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id = await here.ask(alice)
    first = asyncio.create_task(here.producer.produce(alice, stream_id))
    model.say(Delta(text="Hmm", kind="reasoning"))
    follower = await here.log.follow(stream_id)
    with anyio.fail_after(TOO_LONG):
        seen = b""
        while b"Hmm" not in seen:
            batch = await follower.next()
            assert batch is not None
            seen += batch.data
    first.cancel()
    await ended(first)

    other_model.say(Delta(text=".", kind="reasoning"), "To the sea.", Finish())
    with anyio.fail_after(TOO_LONG):
        await elsewhere.producer.produce(alice, stream_id)

    data = await elsewhere.everything(stream_id)
    reply = (await here.chat(alice)).messages[-1]
    assert list(reply.parts) == [
        {"type": "reasoning", "text": "Hmm."},
        {"type": "text", "text": "To the sea."},
    ]
    assert [event["id"] for event in events(data) if "id" in event] == [*"1111", *"222"]


@pytest.mark.parametrize(
    ("lines", "outcome", "last"),
    [
        (
            ("sea.", Finish()),
            "completed",
            ["text-end", "message-metadata", "finish-step", "finish"],
        ),
        (
            ("sea.", ValueError()),
            "failed",
            ["text-end", "message-metadata", "finish-step", "error", "finish"],
        ),
    ],
)
async def test_a_log_left_open_by_a_finished_reply_is_only_closed(
    here: ServerProcess,
    redis_url: str,
    model: ScriptedLLM,
    alice: Identity,
    lines: tuple[str | Finish | Exception, ...],
    outcome: OutcomeKind,
    last: list[str],
) -> None:
    streams = DiesBeforeClosingTheLog(here.database)
    async with server_process(redis_url, here.database, model, streams=streams) as dying:
        stream_id = await dying.ask(alice)
        model.say(*lines)
        producing = asyncio.create_task(dying.producer.produce(alice, stream_id))
        await ended(producing)
    assert producing.cancelled()
    before = await here.chat(alice)
    assert (await here.log.state(stream_id)).outcome is None

    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    state, data = await here.log.state(stream_id), await here.everything(stream_id)
    assert state.outcome is not None
    assert state.outcome.kind == outcome
    assert [event["type"] for event in events(data)][-len(last) :] == last
    assert text_of(data) == before.messages[-1].text == "sea."
    assert await here.chat(alice) == before
    assert len(model.prompts) == 1


async def test_a_stream_closed_before_any_producer_began_still_gets_its_end(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    await Housekeeping(here.database).close_stream(stream_id)

    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    assert [event["type"] for event in events(await here.everything(stream_id))] == ["finish"]
    assert (await here.log.state(stream_id)).outcome == Outcome(kind="interrupted")
    assert model.prompts == []


async def test_where_the_log_ends_with_the_process_the_reply_is_kept_as_interrupted(
    database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process("memory://", database, model) as here:
        stream_id, producing = await begun(here, model, alice, "To the ", until="To the ")

        producing.cancel()
        await ended(producing)

        chat = await here.chat(alice)
        data = await here.everything(stream_id)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To the ", "interrupted")
    assert chat.open_stream is None
    assert text_of(data) == "To the "
    assert events(data)[-1]["messageMetadata"]["outcome"] == "interrupted"
    assert model.at_work == 0


async def test_a_checkpoint_keeps_the_text_so_far(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = Checkpoints(database)
    async with server_process(
        redis_url, database, model, streams=streams, checkpoint_interval=SOON
    ) as here:
        _, producing = await begun(here, model, alice, "To the ", until="To the ")

        await streams.until(kept="To the ")

        model.say("sea.")
        await streams.until(kept="To the sea.")
        model.say(Finish())
        await ended(producing)
        assert (await here.chat(alice)).messages[-1].text == "To the sea."


async def test_a_failed_checkpoint_is_logged_and_retried(
    redis_url: str,
    database: Database,
    model: ScriptedLLM,
    alice: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    streams = Checkpoints(database, failures=2)
    async with server_process(
        redis_url, database, model, streams=streams, checkpoint_interval=SOON
    ) as here:
        _, producing = await begun(here, model, alice, "To the ", until="To the ")

        await streams.until(kept="To the ")

        model.say(Finish())
        await ended(producing)
    told = [record.exc_info and record.exc_info[0] for record in caplog.records if record.exc_info]
    assert told == [OSError, OSError]


async def test_a_producer_whose_claim_is_old_makes_no_more_checkpoints(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = Checkpoints(database)
    async with server_process(
        redis_url, database, model, streams=streams, checkpoint_interval=SOON
    ) as here:
        stream_id, producing = await begun(here, model, alice, "To the ", until="To the ")
        await streams.until(kept="To the ")

        claim = await streams.claim(alice, stream_id)
        await streams.refused()
        tries = streams.tries
        model.say("sea.", Finish())
        await ended(producing)

    assert (streams.tries, streams.refusals) == (tries, 1)
    assert claim.checkpoint == "To the "


async def test_many_takeovers_add_up_to_one_answer(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                server_process(redis_url, database, model, checkpoint_interval=NEVER)
            )
            for _ in range(5)
        ]
        stream_id = await processes[0].ask(alice)
        said = ""
        for number, process in enumerate(processes):
            producing = asyncio.create_task(process.producer.produce(alice, stream_id))
            model.say(f"w{number} ")
            said += f"w{number} "
            await process.watch(stream_id, text=said)
            producing.cancel()
            await ended(producing)
        model.say(Finish())
        with anyio.fail_after(TOO_LONG):
            await processes[0].producer.produce(alice, stream_id)

        data = await processes[0].everything(stream_id)
        reply = (await processes[0].chat(alice)).messages[-1]
    assert text_of(data) == reply.text == said == model.prompts[-1].prefix


async def test_an_answer_goes_on_at_the_same_offsets_when_the_store_comes_back_empty(
    here: ServerProcess, redis_url: str, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id, producing = await begun(here, model, alice, "To the ", until="To the ")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    model.say("sea.", Finish())
    await ended(producing)

    data = await here.everything(stream_id)
    assert text_of(data) == (await here.chat(alice)).messages[-1].text == "To the sea."
    offsets = [frame.offset_of(piece) for piece in frame.split(data)]
    assert offsets == list(range(1, len(offsets) + 1))


async def test_a_producer_whose_claim_is_old_does_not_restore_what_the_store_lost(
    here: ServerProcess, redis_url: str, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id, producing = await begun(here, model, alice, "To the ", until="To the ")
    await StreamRepository(here.database).claim(alice, stream_id)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

        model.say("sea.", Finish())
        await ended(producing)

        assert client.keys(f"*{stream_id}*") == []
    assert (await here.chat(alice)).open_stream is not None


async def test_a_stream_whose_producer_and_log_are_both_lost_is_interrupted(
    here: ServerProcess,
    elsewhere: ServerProcess,
    redis_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To the ", until="To the ")
    token = 1
    await StreamRepository(here.database).checkpoint(
        alice, stream_id, fencing_token=token, text="To ", tail=0
    )
    first.cancel()
    await ended(first)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    await elsewhere.producer.produce(alice, stream_id)

    chat = await here.chat(alice)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To ", "interrupted")
    assert other_model.prompts == []


async def test_the_number_of_takeovers_in_vain_is_limited(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(redis_url, database, model, max_takeovers=2) as here:
        stream_id, producing = await begun(here, model, alice, "To the ", until="To the ")
        # The first takeover finds new text; it adds none itself, nor do the two after it.
        for requests in (2, 3, 4):
            producing.cancel()
            await ended(producing)
            producing = asyncio.create_task(here.producer.produce(alice, stream_id))
            with anyio.fail_after(TOO_LONG):
                await model.asked(requests)
        producing.cancel()
        await ended(producing)

        with anyio.fail_after(TOO_LONG):
            await here.producer.produce(alice, stream_id)

        data, reply = await here.everything(stream_id), (await here.chat(alice)).messages[-1]
    assert len(model.prompts) == 4
    assert (reply.text, reply.status) == ("To the ", "interrupted")
    assert (reply.meta["model_calls"], reply.meta["takeovers"]) == (4, 4)
    assert text_of(data) == "To the "
    assert events(data)[-1]["messageMetadata"]["outcome"] == "interrupted"


async def test_takeovers_before_the_first_word_count(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(redis_url, database, model, max_takeovers=0) as here:
        stream_id = await here.ask(alice)
        await StreamRepository(database).claim(alice, stream_id)

        with anyio.fail_after(TOO_LONG):
            await here.producer.produce(alice, stream_id)

        chat = await here.chat(alice)
    assert model.prompts == []
    assert chat.newest_stream is not None
    assert chat.newest_stream.outcome == "interrupted"


async def test_where_lost_producers_are_not_replaced_their_replies_end_as_interrupted(
    here: ServerProcess,
    other_process: Database,
    redis_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To the ", until="To the ")
    first.cancel()
    await ended(first)

    async with server_process(redis_url, other_process, other_model, continues=False) as elsewhere:
        with anyio.fail_after(TOO_LONG):
            await elsewhere.producer.produce(alice, stream_id)
        data = await elsewhere.everything(stream_id)

    reply = (await here.chat(alice)).messages[-1]
    assert (reply.text, reply.status) == ("To the ", "interrupted")
    assert text_of(data) == "To the "
    assert other_model.prompts == []


async def test_a_stream_is_interrupted_if_its_producer_died_and_the_store_went_back(
    here: ServerProcess,
    elsewhere: ServerProcess,
    redis_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To ", until="To ")
    with store_rewound(redis_url, stream_id):
        model.say("the ")
        seen = frame.split(await here.watch(stream_id, text="To the "))
        await StreamRepository(here.database).checkpoint(
            alice, stream_id, fencing_token=1, text="To the ", tail=len(seen)
        )
        first.cancel()
        await ended(first)

    with anyio.fail_after(TOO_LONG):
        await elsewhere.producer.produce(alice, stream_id)

    chat = await here.chat(alice)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To the ", "interrupted")
    assert chat.open_stream is None
    assert other_model.prompts == []
    with pytest.raises(StreamNotFound):
        await elsewhere.log.state(stream_id)


async def test_the_log_of_a_saved_reply_is_not_closed_short_after_the_store_went_back(
    here: ServerProcess,
    elsewhere: ServerProcess,
    redis_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, producing = await begun(here, model, alice, "To ", until="To ")
    with store_rewound(redis_url, stream_id):
        model.say("the sea.", Finish())
        await ended(producing)

    with anyio.fail_after(TOO_LONG):
        await elsewhere.producer.produce(alice, stream_id)

    # A viewer that had not seen all of it gets the stored message.
    with pytest.raises(StreamNotFound):
        await elsewhere.log.state(stream_id)
    chat = await here.chat(alice)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To the sea.", "complete")
    assert other_model.prompts == []


async def test_text_that_reached_the_database_but_not_the_log_is_not_asked_for_again(
    here: ServerProcess,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To ", until="To ")
    tail = (await here.log.state(stream_id)).tail
    first.cancel()
    await ended(first)
    # The producer's last text, from when it died while the store was away.
    await StreamRepository(here.database).checkpoint(
        alice, stream_id, fencing_token=1, text="To the ", tail=tail
    )

    other_model.say("sea.", Finish())
    with anyio.fail_after(TOO_LONG):
        await elsewhere.producer.produce(alice, stream_id)

    data = await elsewhere.everything(stream_id)
    assert [prompt.prefix for prompt in other_model.prompts] == ["To the "]
    assert text_of(data) == (await here.chat(alice)).messages[-1].text == "To the sea."


async def test_only_the_owner_of_a_stream_can_ask_for_its_newest_claim(
    here: ServerProcess, alice: Identity, bob: Identity
) -> None:
    stream_id = await here.ask(alice)
    streams = StreamRepository(here.database)

    for owner, wrong in ((bob, stream_id), (alice, StreamId("\0"))):
        with pytest.raises(ChatNotFound):
            await streams.is_newest_claim(owner, wrong, fencing_token=1)


async def test_a_reply_with_no_text_left_ends_without_a_message(
    elsewhere: ServerProcess, redis_url: str, alice: Identity
) -> None:
    stream_id = await elsewhere.ask(alice)
    await StreamRepository(elsewhere.database).claim(alice, stream_id)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    with anyio.fail_after(TOO_LONG):
        await elsewhere.producer.produce(alice, stream_id)

    chat = await elsewhere.chat(alice)
    assert [message.role for message in chat.messages] == ["user"]
    assert chat.newest_stream is not None
    assert chat.newest_stream.outcome == "interrupted"
