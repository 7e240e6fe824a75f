"""The page behind a network that loses what is sent, and says nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts
from tests.support.programs import CHROMIUM, find
from tests.support.tcp_proxy import TcpProxy, tcp_proxy_in_thread

LIVE_AGAIN = 5
"""Seconds: two missed heartbeats of two, and a new connection."""


@pytest.fixture
def proxy(app: AppServer) -> Iterator[TcpProxy]:
    """Between the browser and the application."""
    with tcp_proxy_in_thread(port=app.port) as proxy:
        yield proxy


@pytest.fixture
def page(browser: Browser, app: AppServer, proxy: TcpProxy) -> Iterator[Page]:
    """A tab of a browser for which the application's address is that of the proxy."""
    rule = f"MAP 127.0.0.1:{app.port} 127.0.0.1:{proxy.port}"
    behind_proxy = browser.browser_type.launch(
        executable_path=find(CHROMIUM),
        args=["--no-sandbox", "--disable-gpu", f"--host-resolver-rules={rule}"],
    )
    yield behind_proxy.new_page(base_url=app.page)
    behind_proxy.close()


def test_a_connection_that_is_dead_and_does_not_say_so_is_replaced(
    page: Page, app: AppServer, proxy: TcpProxy, model: OpenAIServer
) -> None:
    model.script(Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending())))
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    chat.send("Go on")
    chat.reads("First, ")

    proxy.swallow_streams()
    model.release()

    chat.reads("First, then.", within=LIVE_AGAIN)
    chat.has_status("done")
