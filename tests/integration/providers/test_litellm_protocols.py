"""Prefixes, and a provider with a protocol other than OpenAI's."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from chat_app.errors import ProviderUnavailable
from chat_app.generation.litellm import LiteLLMModel
from chat_app.generation.llm import Delta, Finish, Usage
from tests.support.litellm_model import (
    collect,
    failure,
    model_of,
    prompt,
    text_of,
)
from tests.support.openai_server import Cue, OpenAIServer, Reply, answer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_a_model_without_prefill_is_told_to_go_on_after_the_prefix(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    await collect(model, prompt(prefix="Once upon"))

    *_, partial, instruction = server.requests[0].messages
    assert partial == {"role": "assistant", "content": "Once upon"}
    assert instruction["role"] == "user"
    assert "exactly after its last character" in instruction["content"]


@pytest.mark.parametrize(
    ("prefix", "pieces", "added", "repeats"),
    [
        ("Hello ", ("world",), "world", 0),
        ("Hello ", (" world",), "world", 1),
        ("Hello\n\n", ("\n", "\nworld"), "world", 2),
        ("Hello\n\n", ("\n", "world"), "world", 1),
        ("Hello", (" world",), " world", 0),
        (" \n", (" \n", "world"), "world", 1),
    ],
)
async def test_white_space_at_the_end_of_the_prefix_is_not_repeated(
    server: OpenAIServer,
    model: LiteLLMModel,
    prefix: str,
    pieces: tuple[str, ...],
    added: str,
    repeats: int,
) -> None:
    server.script(answer(*pieces))

    items = await collect(model, prompt(prefix=prefix))

    assert text_of(items) == added
    assert sum(item.repeats for item in items if isinstance(item, Delta)) == repeats
    assert not any(str(message["content"]).endswith(" ") for message in server.requests[0].messages)


ANTHROPIC = "anthropic/claude-sonnet-4-5"


def anthropic_frames(*pieces: str, reason: str | None = "end_turn") -> tuple[bytes, ...]:
    """Return an Anthropic stream, which does not use the OpenAI SDK; without a reason it is cut."""

    def frame(kind: str, **fields: object) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "c",
    }
    usage = {"input_tokens": 7, "output_tokens": 1}
    begin = (
        frame("message_start", message={**message, "usage": usage}),
        frame("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    )
    middle = tuple(
        frame("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        for piece in pieces
    )
    if reason is None:
        return (*begin, *middle)
    return (
        *begin,
        *middle,
        frame("content_block_stop", index=0),
        frame("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 3}),
        frame("message_stop"),
    )


@pytest.fixture
async def anthropic(server: OpenAIServer) -> AsyncIterator[LiteLLMModel]:
    model = model_of(server, name=ANTHROPIC)
    yield model
    await model.close()


async def test_a_provider_with_a_protocol_of_its_own_answers_the_same_way(
    server: OpenAIServer, anthropic: LiteLLMModel
) -> None:
    server.script(Reply(body=anthropic_frames("Hel", "lo", reason="max_tokens")))

    items = await collect(anthropic)

    assert items == [
        Delta(text="Hel"),
        Delta(text="lo"),
        Finish(reason="length", usage=Usage(prompt_tokens=7, completion_tokens=3)),
    ]


async def test_a_model_with_prefill_gets_the_prefix_as_its_own_last_words(
    server: OpenAIServer, anthropic: LiteLLMModel
) -> None:
    server.script(Reply(body=anthropic_frames(" upon")))

    items = await collect(anthropic, prompt(prefix="Once "))

    last = server.requests[0].messages[-1]
    assert last["role"] == "assistant"
    assert "Once" in json.dumps(last["content"])
    assert text_of(items) == "upon"


async def test_a_cut_stream_of_another_protocol_is_an_error_too(
    server: OpenAIServer, anthropic: LiteLLMModel
) -> None:
    server.script(Reply(body=anthropic_frames("half ", reason=None)))

    text, error = await failure(anthropic)

    assert text == "half "
    assert isinstance(error, ProviderUnavailable)


async def test_closing_the_iterator_of_another_protocol_closes_its_connection(
    server: OpenAIServer, anthropic: LiteLLMModel
) -> None:
    server.script(Reply(body=(*anthropic_frames("half ", reason=None), Cue.HOLD)))

    async with asyncio.timeout(30):
        stream = anthropic.stream(prompt())
        await anext(stream)
        await stream.aclose()
        await server.requests[0].disconnected.wait()

    assert len(server.requests) == 1
