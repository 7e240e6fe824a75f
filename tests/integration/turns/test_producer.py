"""One generation: its course, and every way it can end."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from chat_app.errors import (
    ContextExceeded,
    GenerationError,
    PromptRejected,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
)
from chat_app.generation.llm import Delta, Finish, Usage
from chat_app.identity.identity import Identity
from chat_app.streams.model import Outcome, StreamId
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import (
    QUESTION,
    TOO_LONG,
    ServerProcess,
    events,
    text_of,
    timeless,
)

pytestmark = pytest.mark.anyio


async def produced(here: ServerProcess, owner: Identity) -> tuple[StreamId, bytes]:
    """Answer a prompt to the end of the script; return the stream's id and all its frames."""
    stream_id = await here.ask(owner)
    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(owner, stream_id)
    return stream_id, await here.everything(stream_id)


def kinds(data: bytes) -> list[str]:
    return [event["type"] for event in events(data)]


async def test_the_message_tells_how_long_it_took(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    before = datetime.now(UTC)
    stream_id = await here.ask(alice)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(here.producer.produce(alice, stream_id))
        model.say("To the ")
        await here.watch(stream_id, text="To the ")
        first_delta_seen = datetime.now(UTC)
        model.say("sea.", Finish())
    after = datetime.now(UTC)

    meta = (await here.chat(alice)).messages[-1].meta
    started, moment = datetime.fromisoformat(meta["started_at"]), timedelta(milliseconds=1)
    assert before - moment <= started <= after
    assert 0 <= meta["first_delta_ms"] <= meta["duration_ms"]
    assert started + timedelta(milliseconds=meta["first_delta_ms"]) <= first_delta_seen + moment
    assert started + timedelta(milliseconds=meta["duration_ms"]) <= after + moment


async def test_the_message_tells_how_long_the_model_thought_before_its_answer_begins(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(here.producer.produce(alice, stream_id))
        model.say(Delta(text="Hmm. ", kind="reasoning"), Delta(text="Aha.", kind="reasoning"))
        await model.asked()
        model.say("To the ", Finish())

    data = await here.everything(stream_id)
    begins = kinds(data).index("text-start")
    told = events(data)[begins - 1]["messageMetadata"]
    meta = (await here.chat(alice)).messages[-1].meta
    assert told == {"reasoning_ms": meta["reasoning_ms"]}
    assert 1 <= meta["reasoning_ms"] <= meta["duration_ms"] + 1


async def test_an_answer_is_a_message_of_its_own_between_start_and_finish(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    usage = Usage(prompt_tokens=2, completion_tokens=3)
    model.say("To the ", "sea.", Finish(reason="length", usage=usage))

    _, data = await produced(here, alice)

    chat = await here.chat(alice)
    assert chat.newest_stream is not None
    told = {
        "model": "scripted",
        "model_calls": 1,
        "takeovers": 0,
        "regenerated_deltas": 0,
        "finish_reason": "length",
        "prompt_tokens": 2,
        "completion_tokens": 3,
    }
    first, *_, last = events(data)
    assert (first["type"], first["messageId"]) == ("start", chat.newest_stream.reply_id)
    assert first["messageMetadata"]["model"] == "scripted"
    assert [kind for kind in kinds(data) if kind != "text-delta"] == [
        "start",
        "start-step",
        "text-start",
        "text-end",
        "message-metadata",
        "finish-step",
        "finish",
    ]
    assert (last["type"], last["finishReason"]) == ("finish", "length")
    assert timeless(last["messageMetadata"]) == {"outcome": "completed", **told}
    reply = chat.messages[-1]
    assert (reply.id, reply.text, reply.status) == (
        chat.newest_stream.reply_id,
        "To the sea.",
        "complete",
    )
    assert timeless(reply.meta) == told
    assert {"outcome": "completed", **reply.meta} == last["messageMetadata"]
    assert text_of(data) == reply.text


async def test_the_model_is_asked_with_the_whole_chat(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("To the sea.", Finish(), "By train.", Finish())
    await produced(here, alice)
    stream_id = await here.ask(alice, "And how?")

    await here.producer.produce(alice, stream_id)

    asked = [(message.role, message.text) for message in model.prompts[-1].messages]
    assert asked == [("user", QUESTION), ("assistant", "To the sea."), ("user", "And how?")]
    assert model.prompts[-1].prefix == ""


async def test_a_viewer_that_sees_the_end_can_already_read_the_message(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(here.producer.produce(alice, stream_id))
        model.say("To the sea.", Finish())
        await here.everything(stream_id)
        chat = await here.chat(alice)

    assert [message.text for message in chat.messages] == [QUESTION, "To the sea."]
    assert chat.open_stream is None


async def test_a_stop_ends_a_silent_model_and_keeps_what_it_had_said(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(here.producer.produce(alice, stream_id))
        model.say("To the ")
        await here.watch(stream_id, text="To the ")
        await here.log.request_stop(stream_id)
        data = await here.everything(stream_id)

    reply = (await here.chat(alice)).messages[-1]
    assert (reply.text, reply.status) == ("To the ", "stopped")
    assert text_of(data) == "To the "
    assert kinds(data)[-4:] == ["text-end", "finish-step", "abort", "finish"]
    assert events(data)[-1]["finishReason"] == "other"
    assert (await here.log.state(stream_id)).outcome == Outcome(kind="stopped")
    assert model.at_work == 0


async def test_a_stop_that_comes_before_the_producer_leaves_no_message(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    await here.log.request_stop(stream_id)

    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    chat = await here.chat(alice)
    assert [message.role for message in chat.messages] == ["user"]
    assert chat.newest_stream is not None
    assert chat.newest_stream.outcome == "stopped"
    assert kinds(await here.everything(stream_id))[-2:] == ["abort", "finish"]
    assert model.at_work == 0


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable("detail 1"),
        ProviderThrottled("detail 2"),
        PromptRejected("detail 3"),
        ProviderMisconfigured("detail 4"),
        ContextExceeded("detail 5"),
    ],
    ids=lambda error: error.code,
)
async def test_a_failure_of_the_provider_keeps_what_it_had_said(
    here: ServerProcess,
    model: ScriptedLLM,
    alice: Identity,
    error: GenerationError,
) -> None:
    model.say("To the ", error)

    stream_id, data = await produced(here, alice)

    chat = await here.chat(alice)
    reply = chat.messages[-1]
    assert (reply.text, reply.status) == ("To the ", "failed")
    assert chat.newest_stream is not None
    assert (chat.newest_stream.outcome, chat.newest_stream.error_code) == ("failed", error.code)
    assert (await here.log.state(stream_id)).outcome == Outcome(kind="failed", code=error.code)
    *_, told, last = events(data)
    assert (told["type"], told["code"]) == ("error", error.code)
    assert str(error) not in told["errorText"]
    assert last["finishReason"] == "error"
    assert last["messageMetadata"]["code"] == reply.meta["code"] == error.code


async def test_a_failure_before_the_first_word_leaves_no_message(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    model.say(ProviderUnavailable("gone"))

    _, data = await produced(here, alice)

    chat = await here.chat(alice)
    assert [message.role for message in chat.messages] == ["user"]
    assert chat.newest_stream is not None
    assert chat.newest_stream.error_code == "provider_unavailable"
    assert kinds(data) == [
        "start",
        "start-step",
        "message-metadata",
        "finish-step",
        "error",
        "finish",
    ]


async def test_an_unforeseen_error_is_logged_and_not_shown_to_the_reader(
    here: ServerProcess, model: ScriptedLLM, alice: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    model.say("To the ", ZeroDivisionError("secret"))

    stream_id, data = await produced(here, alice)

    outcome = Outcome(kind="failed", code="internal_error")
    assert (await here.log.state(stream_id)).outcome == outcome
    assert (await here.chat(alice)).messages[-1].text == "To the "
    assert b"secret" not in data
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info and record.exc_info[0] for record in logged] == [ZeroDivisionError]


async def test_reasoning_is_a_part_of_its_own_and_no_part_of_the_text(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    model.say(
        Delta(text="Hmm.", kind="reasoning"),
        "To the sea.",
        Delta(text="Or not?", kind="reasoning"),
        "Or not.",
        Finish(),
    )

    _, data = await produced(here, alice)

    reply = (await here.chat(alice)).messages[-1]
    assert list(reply.parts) == [
        {"type": "reasoning", "text": "Hmm."},
        {"type": "text", "text": "To the sea."},
        {"type": "reasoning", "text": "Or not?"},
        {"type": "text", "text": "Or not."},
    ]
    assert reply.text == text_of(data) == "To the sea.Or not."
    parts = [(event["type"], event["id"]) for event in events(data) if "id" in event]
    assert parts == [
        (f"{kind}-{step}", number)
        for number, kind in zip("1234", ["reasoning", "text"] * 2, strict=True)
        for step in ("start", "delta", "end")
    ]


async def test_characters_that_no_database_can_hold_reach_neither_the_log_nor_the_message(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("\0", "a\0b", "c\ud800d", "\udfff", "\u2028 ☃", Finish())

    _, data = await produced(here, alice)

    reply = (await here.chat(alice)).messages[-1]
    assert reply.text == text_of(data) == "abc?d?\u2028 ☃"


async def test_an_answer_without_a_word_leaves_no_message(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("\0", Finish())

    _, data = await produced(here, alice)

    chat = await here.chat(alice)
    assert [message.role for message in chat.messages] == ["user"]
    assert chat.open_stream is None
    assert kinds(data) == ["start", "start-step", "message-metadata", "finish-step", "finish"]


async def test_a_generation_delivered_again_after_its_end_changes_nothing(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("To the sea.", Finish())
    stream_id, data = await produced(here, alice)
    before = await here.chat(alice)

    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    assert await here.chat(alice) == before
    assert await here.everything(stream_id) == data
    assert len(model.prompts) == 1


async def test_a_withdrawn_turn_is_not_answered(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    chat = await here.chat(alice)
    assert chat.newest_stream is not None
    await here.chats.withdraw_turn(alice, chat.id, chat.newest_stream.id)

    with anyio.fail_after(TOO_LONG):
        await here.producer.produce(alice, stream_id)

    assert model.prompts == []


async def test_an_end_of_the_process_ends_the_request_to_the_provider(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    producing = asyncio.create_task(here.producer.produce(alice, stream_id))
    with anyio.fail_after(TOO_LONG):
        await model.asked()
        producing.cancel()
        await asyncio.wait([producing])

    assert model.at_work == 0
