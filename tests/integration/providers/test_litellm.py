"""Answers of real providers, over real sockets."""

import asyncio
import subprocess
import sys
from contextlib import aclosing

import pytest

from chat_app.errors import InvalidSettings
from chat_app.generation.litellm import LiteLLMModel
from chat_app.generation.llm import Delta, Finish, Prompt, PromptMessage, Usage
from tests.support.litellm_model import (
    KEY,
    LONG,
    collect,
    model_of,
    prompt,
    text_of,
)
from tests.support.openai_server import (
    DONE,
    ROLE,
    Cue,
    OpenAIServer,
    Reply,
    answer,
    chunk,
    ending,
    openai_server_in_thread,
    reasoning,
    sse,
    texts,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_an_answer_arrives_delta_by_delta_and_ends_with_its_usage(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(answer("Grüß ", "dich ", "👋"))

    items = await collect(model)

    assert items == [
        Delta(text="Grüß "),
        Delta(text="dich "),
        Delta(text="👋"),
        Finish(reason="stop", usage=Usage(prompt_tokens=7, completion_tokens=3)),
    ]


async def test_a_delta_is_there_before_the_next_one_is_sent(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(Reply(body=(ROLE, *texts("one"), Cue.HOLD, *texts("two"), *ending())))

    async with asyncio.timeout(30), aclosing(model.stream(prompt())) as stream:
        first = await anext(stream)
        server.release()
        rest = [item async for item in stream]

    assert first == Delta(text="one")
    assert text_of(rest) == "two"


async def test_reasoning_is_kept_apart_from_the_text(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    openrouter = chunk({"reasoning": "Then. "})
    server.script(Reply(body=(ROLE, *reasoning("Hm. "), openrouter, *texts("Yes."), *ending())))

    items = await collect(model)

    assert items[:3] == [
        Delta(text="Hm. ", kind="reasoning"),
        Delta(text="Then. ", kind="reasoning"),
        Delta(text="Yes."),
    ]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("function_call", "tool-calls"),
        ("MAX_TOKENS", "length"),
        ("something_new", "other"),
    ],
)
async def test_every_finish_reason_is_mapped_to_one_of_ours(
    server: OpenAIServer, model: LiteLLMModel, theirs: str, ours: str
) -> None:
    server.script(Reply(body=(ROLE, *texts("x"), *ending(theirs))))

    items = await collect(model)

    assert isinstance(items[-1], Finish)
    assert items[-1].reason == ours


async def test_a_provider_that_counts_nothing_gives_no_usage(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(Reply(body=(ROLE, *texts("x"), chunk({}, finish_reason="stop"), DONE)))

    items = await collect(model)

    assert items[-1] == Finish(reason="stop", usage=None)


async def test_empty_and_unknown_content_is_dropped(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(
        Reply(
            body=(
                ROLE,
                *texts("a", "", "b"),
                chunk({"content": None}),
                chunk({"content": [{"type": "image", "url": "x"}]}),
                chunk({"audio": {"data": "AAAA"}}),
                sse({"object": "ping"}),
                b": keep-alive\n\n",
                *ending(),
            )
        )
    )

    items = await collect(model)

    assert items[:-1] == [Delta(text="a"), Delta(text="b")]


async def test_the_same_chunk_many_times_is_no_error(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(answer(*["----"] * 150))

    items = await collect(model)

    assert text_of(items) == "-" * 600


async def test_the_model_sees_the_system_prompt_and_the_whole_chat(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    chat = (
        PromptMessage(role="user", text="Hi"),
        PromptMessage(role="assistant", text="Hello"),
        PromptMessage(role="user", text="And?"),
    )

    await collect(model, Prompt(messages=chat))

    (request,) = server.requests
    assert request.messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "And?"},
    ]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body["model"] == "test-model"
    assert request.body["stream"] is True
    assert request.body["stream_options"] == {"include_usage": True}


async def test_an_empty_system_prompt_is_not_sent(server: OpenAIServer) -> None:
    model = model_of(server, system_prompt="")

    await collect(model)
    await model.close()

    assert [message["role"] for message in server.requests[0].messages] == ["user"]


async def test_closing_the_iterator_closes_the_connection_to_the_provider(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(Reply(body=(ROLE, *texts("one"), Cue.HOLD, *texts("two"), *ending())))

    async with asyncio.timeout(30):
        stream = model.stream(prompt())
        await anext(stream)
        await stream.aclose()
        await server.requests[0].disconnected.wait()

    assert len(server.requests) == 1


async def test_cancelling_the_reader_closes_the_connection_to_the_provider(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(Reply(body=(ROLE, *texts("one"), Cue.HOLD, *ending())))
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in model.stream(prompt()):
            begun.set()

    task = asyncio.create_task(read())
    async with asyncio.timeout(30):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.requests[0].disconnected.wait()


async def test_two_answers_at_once_do_not_mix(server: OpenAIServer, model: LiteLLMModel) -> None:
    held = Reply(body=(ROLE, *texts("A"), Cue.HOLD, *texts("A"), *ending()))
    server.script(held, answer("B", "B"))

    async with asyncio.timeout(30), aclosing(model.stream(prompt())) as first:
        await anext(first)
        second = await collect(model)
        server.release()
        rest = [item async for item in first]

    assert text_of(second) == "BB"
    assert text_of(rest) == "A"


async def test_loading_accepts_a_model_of_a_known_provider(model: LiteLLMModel) -> None:
    await model.load()

    assert model.name == "openai/test-model"


async def test_loading_refuses_a_model_of_no_known_provider() -> None:
    model = LiteLLMModel("no-such-model", system_prompt="", request_timeout=LONG, idle_timeout=LONG)

    with pytest.raises(InvalidSettings, match="CHAT_MODEL"):
        await model.load()


def test_the_package_can_be_imported_without_importing_litellm() -> None:
    code = (
        "import sys; import chat_app.generation.litellm; "
        "sys.exit('litellm' in sys.modules or 'openai' in sys.modules)"
    )

    finished = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)

    assert finished.returncode == 0


def test_the_server_also_serves_tests_that_have_no_event_loop() -> None:
    with openai_server_in_thread(answer("Hi")) as server:
        model = model_of(server)

        async def ask() -> list[Delta | Finish]:
            items = await collect(model)
            await model.close()
            return items

        items = asyncio.run(ask())

    assert text_of(items) == "Hi"
    assert len(server.requests) == 1
