"""One process at work. Other tests cover both databases; here one kind is enough."""

from collections.abc import AsyncGenerator

import pytest

from chat_app.chats.database import Database
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import ServerProcess, server_process


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def model() -> ScriptedLLM:
    return ScriptedLLM()


@pytest.fixture
def other_model() -> ScriptedLLM:
    """The model of the other process."""
    return ScriptedLLM()


@pytest.fixture
async def here(
    store_url: str, database: Database, model: ScriptedLLM
) -> AsyncGenerator[ServerProcess]:
    async with server_process(store_url, database, model) as process:
        yield process
