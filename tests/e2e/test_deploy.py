"""The page when the server it was loaded from goes away for good."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running_together
from tests.support.load_balancer import LoadBalancer
from tests.support.openai_server import (
    ROLE,
    Cue,
    OpenAIServer,
    Reply,
    answer,
    ending,
    openai_server_in_thread,
    texts,
)
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import in_thread

pytestmark = pytest.mark.timeout(180)

Pair = tuple[AppServer, AppServer]


@pytest.fixture
def balancer() -> Iterator[LoadBalancer]:
    with in_thread(LoadBalancer(ports=[free_port(), free_port()])) as balancer:
        yield balancer


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    """A provider of this module's own: a reply that it holds may never be released."""
    with openai_server_in_thread() as server:
        yield server


@pytest.fixture
def pair(
    tmp_path: Path, balancer: LoadBalancer, redis_server: RedisServer, model: OpenAIServer
) -> Iterator[Pair]:
    """Two servers at one address: the whole application, and one without the page."""
    address = f"http://127.0.0.1:{balancer.port}"
    settings = {
        "REDIS_URL": redis_server.url,
        "LOG_PREFIX": tmp_path.name,
        "REFLEX_API_URL": address,
        "ALLOWED_ORIGINS": address,
        "CHAT_MODEL": "openai/test-model",
        "MODEL_API_BASE": model.base_url,
        "MODEL_API_KEY": "test-key",
    }
    one, other = balancer.ports
    first = AppServer(folder=tmp_path, mode="prod", port=one, settings=settings)
    second = AppServer(folder=tmp_path, port=other, settings=settings)
    with running_together(first, second):
        yield first, second


@pytest.fixture
def page(browser: Browser, balancer: LoadBalancer) -> Iterator[Page]:
    context = browser.new_context(base_url=f"http://127.0.0.1:{balancer.port}")
    yield context.new_page()
    context.close()


def test_an_answer_and_its_page_go_on_with_the_other_server(
    page: Page, pair: Pair, balancer: LoadBalancer, model: OpenAIServer
) -> None:
    first, second = pair
    begun = Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending()))
    model.script(begun, answer("then."))  # the second reply is for the server that takes over
    chat = ChatPage(page, database=Path(first.folder) / "chat.db")
    with balancer.without(second.port):
        chat.open()
        chat.send("Go on")
        chat.reads("First, ")

    with balancer.without(first.port):
        first.stop()
        model.release()
        chat.reads("First, then.")
        chat.has_status("done")
        expect(page.get_by_role("alert")).to_have_count(0)
        chat.send("And now?")
        chat.has_status("done")
        assert [status for _, _, status in chat.stored()] == ["complete"] * 4
