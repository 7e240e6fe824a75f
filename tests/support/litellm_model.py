"""A `LiteLLMModel` that calls the scripted server, and helpers to use it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from blockbuster import BlockBuster

from chat_app.errors import GenerationError
from chat_app.generation.litellm import LiteLLMModel
from chat_app.generation.llm import Delta, Finish, Prompt, PromptMessage
from tests.support.openai_server import OpenAIServer

KEY = "sk-test-0123456789"
SHORT = timedelta(milliseconds=200)
LONG = timedelta(seconds=20)


def model_of(
    server: OpenAIServer,
    *,
    name: str = "openai/test-model",
    system_prompt: str = "Be kind.",
    request_timeout: timedelta = LONG,
    idle_timeout: timedelta = LONG,
) -> LiteLLMModel:
    base = server.base_url
    return LiteLLMModel(
        name,
        system_prompt=system_prompt,
        api_base=base.removesuffix("/v1") if name.startswith("anthropic/") else base,
        api_key=KEY,
        request_timeout=request_timeout,
        idle_timeout=idle_timeout,
    )


def prompt(text: str = "Hi", *, prefix: str = "") -> Prompt:
    return Prompt(messages=(PromptMessage(role="user", text=text),), prefix=prefix)


async def collect(model: LiteLLMModel, asked: Prompt | None = None) -> list[Delta | Finish]:
    async with asyncio.timeout(30):
        return [item async for item in model.stream(asked or prompt())]


async def failure(
    model: LiteLLMModel, *, on_delta: Callable[[], None] = lambda: None
) -> tuple[str, GenerationError]:
    """Return the text that came before the error, and the error."""
    items: list[Delta | Finish] = []

    async def read() -> None:
        async with asyncio.timeout(30):
            async for item in model.stream(prompt()):
                items.append(item)
                on_delta()

    with pytest.raises(GenerationError) as caught:
        await read()
    return text_of(items), caught.value


def text_of(items: list[Delta | Finish]) -> str:
    return "".join(item.text for item in items if isinstance(item, Delta) and item.kind == "text")


def allow_certificate_lookup(blockbuster: BlockBuster) -> None:
    """Let LiteLLM read certificates when it builds a client: a few system calls, once an hour."""
    for name in ("os.stat", "io.TextIOWrapper.read", "io.BufferedReader.read"):
        blockbuster.functions[name].can_block_in(
            "litellm/llms/custom_httpx/http_handler.py", {"get_ssl_configuration"}
        )
