"""Third-party clients against real servers: one on the embedded engine, or two on one Redis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.interop.sdk import FOLDER, Page, Sdk, sdk_in_node
from tests.support.app_server import AppServer, running
from tests.support.caller import Caller
from tests.support.npm import install
from tests.support.openai_server import OpenAIServer
from tests.support.redis_server import RedisServer

Visit = Callable[..., Page]
"""Opens a page, with the caller's session, that shows the chat."""


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder with the locked npm packages, installed."""
    install(FOLDER)
    return FOLDER


@pytest.fixture(scope="session")
def sdk(packages: Path) -> Iterator[Sdk]:
    """The AI SDK in its own Node process."""
    with sdk_in_node() as sdk:
        yield sdk


@pytest.fixture(scope="session")
def provider_settings(provider: OpenAIServer) -> dict[str, str]:
    """The settings of a server that uses the provider as its model."""
    return {
        "CHAT_MODEL": "openai/test-model",
        "MODEL_API_BASE": provider.base_url,
        "MODEL_API_KEY": "test-key",
    }


@pytest.fixture(scope="session")
def embedded(
    tmp_path_factory: pytest.TempPathFactory, provider_settings: dict[str, str]
) -> Iterator[AppServer]:
    """One server on `memory://`."""
    folder = tmp_path_factory.mktemp("embedded")
    with running(AppServer(folder=folder, settings=provider_settings)) as server:
        yield server


@pytest.fixture(scope="session")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    provider_settings: dict[str, str],
) -> Iterator[tuple[AppServer, AppServer]]:
    """Two servers that share one Redis and one database."""
    folder = tmp_path_factory.mktemp("pair")
    settings = {**provider_settings, "REDIS_URL": redis_server.url, "LOG_PREFIX": uuid4().hex}
    with ExitStack() as stack:
        servers = [AppServer(folder=folder, settings=settings) for _ in range(2)]
        for server in servers:
            stack.callback(server.close)
            server.launch()
        for server in servers:
            server.wait_until_up()
        yield servers[0], servers[1]


@pytest.fixture(params=["embedded", "pair"])
def servers(request: pytest.FixtureRequest) -> tuple[AppServer, AppServer]:
    """The server a page sends to, and the one it resumes at: the same if there is only one."""
    started = request.getfixturevalue(request.param)
    return started if isinstance(started, tuple) else (started, started)


@pytest.fixture
def caller(servers: tuple[AppServer, AppServer]) -> Iterator[Caller]:
    """A client with a session."""
    with Caller(servers[0]) as caller:
        yield caller


@pytest.fixture
def chat() -> str:
    """The id of a new chat."""
    return uuid4().hex


@pytest.fixture
def visit(sdk: Sdk, caller: Caller, chat: str) -> Visit:
    """Opens a page of the caller at a given server, showing the chat."""
    cookie = "; ".join(f"{name}={value}" for name, value in caller.http.cookies.items())

    def visit(server: AppServer | str, **options: object) -> Page:
        address = server if isinstance(server, str) else server.api
        return sdk.open(address, **{"chat": chat, "cookie": cookie, **options})

    return visit
