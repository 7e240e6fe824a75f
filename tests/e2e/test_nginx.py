"""The page behind a real nginx: as the documentation configures it, and as somebody else may have."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.nginx import nginx_before
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(120)

HOLDING_STREAMS_BACK = {
    "location / {": """location /api/ {
        proxy_pass http://127.0.0.1:3000;
        proxy_http_version 1.0;
        proxy_set_header Host $http_host;
        proxy_ignore_headers X-Accel-Buffering;
    }
    location / {"""
}
WORDS = "".join(f"w{number} " for number in range(1, 201))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The application, whose page is told where nginx is."""
    settings = {"REFLEX_API_URL": f"http://127.0.0.1:{free_port()}"}
    folder = tmp_path_factory.mktemp("nginx")
    with running(AppServer(folder=folder, mode="prod", settings=settings)) as server:
        yield server


@pytest.fixture(params=[{}, HOLDING_STREAMS_BACK], ids=["as-documented", "holding-streams-back"])
def page(request: pytest.FixtureRequest, browser: Browser, server: AppServer) -> Iterator[Page]:
    """A tab behind nginx."""
    address = server.settings["REFLEX_API_URL"]
    listen = int(address.rpartition(":")[2])
    with nginx_before(server.port, listen=listen, instead=request.param):
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
        yield context.new_page()
        context.close()


def test_an_answer_is_seen_to_grow_over_a_reload_and_is_whole(
    page: Page, server: AppServer
) -> None:
    chat = ChatPage(page, database=Path(server.folder) / "chat.db")
    chat.open()
    chat.send("/demo tokens=200 rate=10 words=1")
    expect(chat.answer).to_contain_text("w5 ")

    page.reload()

    expect(chat.answer).to_contain_text("w30 ")
    expect(chat.answer).to_have_attribute("data-status", "streaming")
    chat.reads(WORDS, within=30)
    chat.has_status("done")
    assert chat.stored()[1:] == [("assistant", WORDS, "complete")]
