"""A reply that ended too early is continued as the same message, in a new stream with all of it."""

import asyncio

import anyio
import pytest

from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ProviderUnavailable
from chat_app.generation.llm import Delta, Finish, Usage
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId
from tests.support.scripted_llm import Line, ScriptedLLM
from tests.support.server_process import (
    CHAT,
    TOO_LONG,
    ServerProcess,
    events,
    server_process,
    text_of,
)

pytestmark = pytest.mark.anyio


async def broken_off(here: ServerProcess, model: ScriptedLLM, owner: Identity, *said: Line) -> None:
    """Produce a reply that fails after `said`."""
    stream_id = await here.ask(owner)
    model.say(*said, ProviderUnavailable("gone"))
    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(owner, stream_id)


async def continued(here: ServerProcess, owner: Identity) -> StreamId:
    """Create the stream that continues the reply, without producing it yet."""
    begun = await here.chats.continue_reply(owner, CHAT, model="scripted")
    await here.log.create(begun.stream.id)
    return begun.stream.id


async def test_the_stream_holds_the_whole_message_and_the_model_goes_on_from_its_end(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    await broken_off(here, model, alice, Delta(text="Hmm.", kind="reasoning"), "To the ")
    before = (await here.chat(alice)).messages[-1]
    stream_id = await continued(here, alice)

    model.say("sea.", Finish())
    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    data, after = await here.everything(stream_id), (await here.chat(alice)).messages[-1]
    assert model.prompts[-1].prefix == "To the "
    assert (after.id, after.created_at, after.status) == (before.id, before.created_at, "complete")
    assert list(after.parts) == [
        {"type": "reasoning", "text": "Hmm."},
        {"type": "text", "text": "To the sea."},
    ]
    start, reset, step, *_ = events(data)
    assert (start["messageId"], reset["type"], step["type"]) == (
        before.id,
        "reset-step",
        "start-step",
    )
    assert [event["id"] for event in events(data) if event["type"].endswith("-start")] == ["1", "2"]
    assert text_of(data) == "To the sea."
    assert b"Hmm." in data


async def test_usage_and_model_calls_add_up_across_a_continuation(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    usage = Usage(prompt_tokens=2, completion_tokens=3)
    stream_id = await here.ask(alice)
    model.say("To the ", Finish(reason="length", usage=usage), "sea.", Finish(usage=usage))
    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)
        await here.producer.produce(alice, await continued(here, alice))

    meta = (await here.chat(alice)).messages[-1].meta
    assert (meta["model_calls"], meta["takeovers"]) == (2, 0)
    assert (meta["prompt_tokens"], meta["completion_tokens"]) == (4, 6)
    assert meta["finish_reason"] == "stop"
    assert "code" not in meta


async def test_text_that_the_model_repeats_is_counted_and_not_shown(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    model.say("To the ", Finish(reason="length"))
    model.say(Delta(text="", repeats=1), Delta(text="sea ", repeats=1), Finish(reason="length"))
    model.say(Delta(text="and ", repeats=1), "back.", Finish())
    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)
        await here.producer.produce(alice, await continued(here, alice))
        await here.producer.produce(alice, await continued(here, alice))

    reply = (await here.chat(alice)).messages[-1]
    assert reply.text == "To the sea and back."
    assert (reply.meta["model_calls"], reply.meta["regenerated_deltas"]) == (3, 3)


async def test_a_process_that_dies_before_it_writes_anything_changes_nothing(
    here: ServerProcess, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    await broken_off(here, model, alice, "To the ")
    stream_id = await continued(here, alice)
    await StreamRepository(database).claim(alice, stream_id)

    model.say("sea.", Finish())
    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    data, reply = await here.everything(stream_id), (await here.chat(alice)).messages[-1]
    assert text_of(data) == reply.text == "To the sea."
    assert (reply.meta["model_calls"], reply.meta["takeovers"]) == (2, 1)


async def test_a_takeover_in_the_middle_continues_the_reply_once(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(redis_url, database, model, max_takeovers=0) as here:
        await broken_off(here, model, alice, "To ")
        stream_id = await continued(here, alice)
        first = asyncio.create_task(here.producer.produce(alice, stream_id))
        model.say("the ")
        await here.watch(stream_id, text="To the ")
        first.cancel()
        with anyio.fail_after(TOO_LONG):
            await asyncio.wait([first])

            model.say("sea.", Finish())
            await here.producer.produce(alice, stream_id)

        data, reply = await here.everything(stream_id), (await here.chat(alice)).messages[-1]
    assert text_of(data) == reply.text == "To the sea."
    assert [prompt.prefix for prompt in model.prompts] == ["", "To ", "To the "]


async def test_a_stop_before_the_first_new_word_keeps_the_text_so_far(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    await broken_off(here, model, alice, "To the ")
    stream_id = await continued(here, alice)
    await here.log.request_stop(stream_id)

    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    data, reply = await here.everything(stream_id), (await here.chat(alice)).messages[-1]
    assert (reply.text, reply.status) == ("To the ", "stopped")
    assert text_of(data) == "To the "


async def test_an_abandoned_continuation_ends_with_the_text_so_far(
    here: ServerProcess, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    await broken_off(here, model, alice, "To the ")
    stream_id = await continued(here, alice)

    assert await Housekeeping(database).close_stream(stream_id)

    reply = (await here.chat(alice)).messages[-1]
    assert (reply.text, reply.status) == ("To the ", "interrupted")
    assert reply.meta["model"] == "scripted"
