"""Every way a provider can fail, over real sockets."""

import asyncio

import pytest

from chat_app.errors import (
    ContextExceeded,
    GenerationError,
    PromptRejected,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
)
from chat_app.generation.litellm import LiteLLMModel
from tests.support.litellm_model import (
    KEY,
    LONG,
    SHORT,
    failure,
    model_of,
)
from tests.support.openai_server import DONE, ROLE, Cue, OpenAIServer, Reply, refusal, sse, texts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, PromptRejected),
        (400, "context_length_exceeded", ContextExceeded),
        (400, "content_policy_violation", PromptRejected),
        (413, None, PromptRejected),
        (422, None, PromptRejected),
        (401, None, ProviderMisconfigured),
        (402, None, ProviderMisconfigured),
        (403, None, ProviderMisconfigured),
        (404, None, ProviderMisconfigured),
        (408, None, ProviderUnavailable),
        (429, None, ProviderThrottled),
        (500, None, ProviderUnavailable),
        (502, None, ProviderUnavailable),
        (503, None, ProviderUnavailable),
        (504, None, ProviderUnavailable),
        (529, None, ProviderUnavailable),
    ],
)
async def test_a_refused_request_becomes_one_of_our_errors_and_is_not_retried(
    server: OpenAIServer,
    model: LiteLLMModel,
    status: int,
    code: str | None,
    kind: type[GenerationError],
) -> None:
    server.script(refusal(status, code=code))

    text, error = await failure(model)

    assert type(error) is kind
    assert text == ""
    assert error.__cause__ is not None
    assert len(server.requests) == 1


async def test_a_chat_that_outgrew_the_model_is_called_too_long(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(
        refusal(
            400,
            code="context_length_exceeded",
            message="This model's maximum context length is 8192 tokens.",
        )
    )

    _, error = await failure(model)

    assert isinstance(error, ContextExceeded)
    assert "too long" in str(error)


async def test_a_prompt_against_the_providers_policy_is_rejected_as_such(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(refusal(400, code="content_policy_violation", message="content_policy_violation"))

    _, error = await failure(model)

    assert isinstance(error, PromptRejected)
    assert "policy" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_an_error_never_repeats_the_key_or_the_provider(
    server: OpenAIServer, model: LiteLLMModel, status: int
) -> None:
    server.script(refusal(status, message=f"bad key {KEY} from host db-7.internal"))

    _, error = await failure(model)

    assert KEY not in str(error)
    assert "internal" not in str(error)
    assert server.base_url not in str(error)


@pytest.mark.parametrize(
    "broken",
    [
        (Cue.RESET,),
        (Cue.CLOSE,),
        (),
        (DONE,),
        (b"data: {not json\n\n",),
        (b'data: "\xff\xfe"\n\n',),
        (sse({"choices": {}}),),
        (sse({"choices": 5}),),
        (sse({"choices": ["x"]}),),
        (sse([1]),),
        (sse(None),),
        (sse({"error": {"message": f"overloaded {KEY}", "code": 500}}),),
    ],
    ids=[
        "reset",
        "close",
        "no-done",
        "done-without-reason",
        "not-json",
        "not-utf8",
        "choices-object",
        "choices-number",
        "choices-text",
        "list",
        "null",
        "error-event",
    ],
)
async def test_a_stream_that_breaks_off_is_an_error_after_the_text_that_came(
    server: OpenAIServer, model: LiteLLMModel, broken: tuple[bytes | Cue, ...]
) -> None:
    server.script(Reply(body=(ROLE, *texts("half "), Cue.HOLD, *broken)))

    text, error = await failure(model, on_delta=server.release)

    assert text == "half "
    assert isinstance(error, ProviderUnavailable)
    assert KEY not in str(error)
    assert len(server.requests) == 1


async def test_a_connection_that_is_reset_before_the_answer_is_unavailable(
    server: OpenAIServer, model: LiteLLMModel
) -> None:
    server.script(Reply(body=(Cue.RESET,)))

    _, error = await failure(model)

    assert isinstance(error, ProviderUnavailable)


async def test_a_provider_that_does_not_listen_is_unavailable() -> None:
    async with OpenAIServer() as gone:
        model = model_of(gone)

    _, error = await failure(model)
    await model.close()

    assert isinstance(error, ProviderUnavailable)


async def test_silence_in_mid_answer_is_an_error_and_ends_the_request(
    server: OpenAIServer,
) -> None:
    model = model_of(server, idle_timeout=SHORT)
    server.script(Reply(body=(ROLE, *texts("half "), Cue.HOLD)))

    text, error = await failure(model)

    assert text == "half "
    assert isinstance(error, ProviderUnavailable)
    assert "in time" in str(error)
    async with asyncio.timeout(5):
        await server.requests[0].disconnected.wait()
    await model.close()


async def test_a_provider_that_never_answers_is_an_error(server: OpenAIServer) -> None:
    async def accept_and_say_nothing(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()
        writer.close()

    mute = await asyncio.start_server(accept_and_say_nothing, "127.0.0.1", 0)
    async with mute:
        model = LiteLLMModel(
            "openai/test-model",
            system_prompt="",
            api_base=f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}/v1",
            api_key=KEY,
            request_timeout=SHORT,
            idle_timeout=LONG,
        )

        _, error = await failure(model)
        await model.close()

    assert isinstance(error, ProviderUnavailable)
    assert "in time" in str(error)
