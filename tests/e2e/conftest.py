"""The real application in a real browser, in production and in development mode."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.sidebar import Sidebar
from tests.support.app_server import AppServer, running
from tests.support.openai_server import OpenAIServer

expect.set_options(timeout=20_000)  # a busy machine must not fail a test


@pytest.fixture(scope="session", params=["prod"])
def app(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    provider: OpenAIServer,
) -> Iterator[AppServer]:
    """The application as `make run` starts it, with the scripted provider as its model.

    Modules that add "dev" also run against what `make dev` starts: there React mounts everything
    twice, and the page and the API have different origins.
    """
    settings = {
        "CHAT_MODEL": "openai/test-model",
        "MODEL_API_BASE": provider.base_url,
        "MODEL_API_KEY": "test-key",
    }
    server = AppServer(
        folder=tmp_path_factory.mktemp(request.param), mode=request.param, settings=settings
    )
    with running(server):
        yield server


@pytest.fixture
def context(browser: Browser, app: AppServer, model: OpenAIServer) -> Iterator[BrowserContext]:
    """The browser of a first-time visitor; the model starts afresh."""
    context = browser.new_context(base_url=app.page, viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """One tab."""
    return context.new_page()


@pytest.fixture
def chat(page: Page, app: AppServer) -> ChatPage:
    """A new chat, for a visitor with a session; `test_first_visit.py` tests getting one."""
    assert page.request.post(f"{app.api}/api/session").ok
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    return chat


@pytest.fixture
def another_tab(context: BrowserContext, chat: ChatPage) -> Callable[[], ChatPage]:
    """Opens more tabs in the same browser."""

    def open_tab() -> ChatPage:
        tab = ChatPage(context.new_page(), database=chat.database)
        tab.open()
        return tab

    return open_tab


@pytest.fixture
def sidebar(page: Page) -> Sidebar:
    """The page's list of chats."""
    return Sidebar(page)
