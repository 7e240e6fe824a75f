"""LiteLLM in this process, calling a scripted provider over real sockets."""

from collections.abc import AsyncIterator

import pytest
from blockbuster import BlockBuster

from chat_app.generation.litellm import LiteLLMModel
from tests.support.litellm_model import allow_certificate_lookup, model_of
from tests.support.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def certificate_lookup(blockbuster: BlockBuster) -> None:
    allow_certificate_lookup(blockbuster)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def model(server: OpenAIServer) -> AsyncIterator[LiteLLMModel]:
    model = model_of(server)
    yield model
    await model.close()
