"""Once its model has finished, a reply is saved exactly once, whatever the database does."""

import asyncio
from datetime import timedelta
from typing import Any

import anyio
import pytest

from chat_app.chats.database import Database
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ProviderThrottled
from chat_app.generation.llm import Finish, Usage
from chat_app.identity.identity import Identity
from chat_app.streams.model import Outcome
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import TOO_LONG, events, server_process, text_of, timeless

pytestmark = pytest.mark.anyio

FOR_EVER = 10**9


class FailsToSave(StreamRepository):
    """A database that fails to save replies at first.

    Attributes:
        failures: How many replies it fails to save.
        tries: How many replies it was given.
    """

    def __init__(self, database: Database, *, failures: int) -> None:
        super().__init__(database)
        self.failures = failures
        self.tries = 0
        self._tried = asyncio.Event()

    async def finish(self, *args: Any, **options: Any) -> None:
        self.tries += 1
        self._tried.set()
        if self.tries <= self.failures:
            raise OSError("the disk is full")
        await super().finish(*args, **options)

    async def tried(self) -> None:
        """Wait until it was given a reply."""
        with anyio.fail_after(TOO_LONG):
            await self._tried.wait()


class ChecksAfterTheEnd(StreamRepository):
    """A database that confirms a saved reply only after a checkpoint has come behind it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._saved = self._checked = False
        self._changed = asyncio.Event()

    async def checkpoint(self, *args: Any, **options: Any) -> None:
        behind = self._saved
        try:
            await super().checkpoint(*args, **options)
        finally:
            self._checked = behind
            self._changed.set()

    async def finish(self, *args: Any, **options: Any) -> None:
        await super().finish(*args, **options)
        self._saved = True
        with anyio.fail_after(TOO_LONG):
            while not self._checked:
                self._changed.clear()
                await self._changed.wait()


async def test_a_checkpoint_after_the_end_does_not_keep_the_log_open(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = ChecksAfterTheEnd(database)
    model.say("To the sea.", Finish())
    async with server_process(
        redis_url, database, model, streams=streams, checkpoint_interval=timedelta(milliseconds=1)
    ) as here:
        stream_id = await here.ask(alice)
        with anyio.fail_after(TOO_LONG):
            await here.producer.produce(alice, stream_id)
            data = await here.everything(stream_id)

    assert text_of(data) == "To the sea."
    assert events(data)[-1]["type"] == "finish"


async def test_a_reply_that_could_not_be_saved_is_saved_later_and_not_generated_again(
    redis_url: str,
    database: Database,
    model: ScriptedLLM,
    alice: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    streams = FailsToSave(database, failures=2)
    model.say("To the sea.", Finish())
    async with server_process(redis_url, database, model, streams=streams) as here:
        stream_id = await here.ask(alice)
        with anyio.fail_after(TOO_LONG):
            await here.producer.produce(alice, stream_id)

        chat, data = await here.chat(alice), await here.everything(stream_id)

    assert [message.text for message in chat.messages[1:]] == ["To the sea."]
    assert chat.messages[-1].status == "complete"
    assert text_of(data) == "To the sea."
    assert (streams.tries, len(model.prompts)) == (3, 1)
    told = [record.exc_info and record.exc_info[0] for record in caplog.records if record.exc_info]
    assert told == [OSError]


async def test_a_finished_reply_that_was_not_saved_is_only_saved_by_the_next_producer(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = FailsToSave(database, failures=FOR_EVER)
    usage = Usage(prompt_tokens=2, completion_tokens=3)
    model.say("To the sea.", Finish(reason="length", usage=usage))
    async with server_process(redis_url, database, model, streams=streams) as dying:
        stream_id = await dying.ask(alice)
        first = asyncio.create_task(dying.producer.produce(alice, stream_id))
        await streams.tried()
        assert (await dying.log.state(stream_id)).outcome is None
        first.cancel()
        with anyio.fail_after(TOO_LONG):
            await asyncio.wait([first])
    assert first.cancelled()

    async with server_process(redis_url, database, model, max_takeovers=0) as here:
        with anyio.fail_after(TOO_LONG):
            await here.producer.produce(alice, stream_id)
        chat, data = await here.chat(alice), await here.everything(stream_id)
        outcome = (await here.log.state(stream_id)).outcome

    ended = {"finish_reason": "length", "prompt_tokens": 2, "completion_tokens": 3}
    counts = {"model_calls": 1, "takeovers": 0, "regenerated_deltas": 0}
    meta = {"model": "scripted", **counts, **ended}
    assert len(model.prompts) == 1
    assert outcome == Outcome(kind="completed")
    [reply] = chat.messages[1:]
    assert (reply.text, timeless(reply.meta)) == ("To the sea.", meta)
    *_, told, step, finish = events(data)
    assert (told["type"], timeless(told["messageMetadata"])) == ("message-metadata", ended)
    assert step == {"type": "finish-step"}
    assert finish == {
        "type": "finish",
        "finishReason": "length",
        "messageMetadata": {"outcome": "completed", **reply.meta},
    }
    assert text_of(data) == "To the sea."


async def test_a_reply_that_failed_and_could_not_be_saved_is_not_asked_for_again(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = FailsToSave(database, failures=FOR_EVER)
    model.say("To the ", ProviderThrottled("busy"))
    async with server_process(redis_url, database, model, streams=streams) as dying:
        stream_id = await dying.ask(alice)
        first = asyncio.create_task(dying.producer.produce(alice, stream_id))
        await streams.tried()
        first.cancel()
        with anyio.fail_after(TOO_LONG):
            await asyncio.wait([first])

    async with server_process(redis_url, database, model) as here:
        with anyio.fail_after(TOO_LONG):
            await here.producer.produce(alice, stream_id)
        chat, data = await here.chat(alice), await here.everything(stream_id)
        outcome = (await here.log.state(stream_id)).outcome

    assert len(model.prompts) == 1
    assert outcome == Outcome(kind="failed", code="provider_throttled")
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To the ", "failed")
    assert chat.newest_stream is not None
    assert chat.newest_stream.error_code == "provider_throttled"
    assert [event["type"] for event in events(data)][-4:] == [
        "message-metadata",
        "finish-step",
        "error",
        "finish",
    ]


async def test_a_process_that_ends_does_not_wait_for_a_database_that_is_away(
    database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = FailsToSave(database, failures=FOR_EVER)
    async with server_process("memory://", database, model, streams=streams) as here:
        stream_id = await here.ask(alice)
        producing = asyncio.create_task(here.producer.produce(alice, stream_id))
        model.say("To the ")
        await here.watch(stream_id, text="To the ")

        producing.cancel()
        with anyio.fail_after(TOO_LONG):
            await asyncio.wait([producing])

    assert isinstance(producing.exception(), OSError)
    assert streams.tries == 1
