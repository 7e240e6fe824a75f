"""The page behind a real nginx, with the documented configuration and with a hostile one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.nginx import nginx_in_front_of
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
WORDS = "".join(f"w{number} " for number in range(1, 151))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The application, with a page that connects through nginx."""
    settings = {"REFLEX_API_URL": f"http://127.0.0.1:{free_port()}"}
    folder = tmp_path_factory.mktemp("nginx")
    with running(AppServer(folder=folder, mode="prod", settings=settings)) as server:
        yield server


@contextmanager
def behind_nginx(
    browser: Browser, server: AppServer, *, replacements: Mapping[str, str] | None = None
) -> Iterator[ChatPage]:
    """Open a tab that reaches the application through nginx."""
    address = server.settings["REFLEX_API_URL"]
    listen = int(address.rpartition(":")[2])
    with nginx_in_front_of(server.port, listen=listen, replacements=replacements):
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
        chat = ChatPage(context.new_page(), database=Path(server.folder) / "chat.db")
        chat.open()
        yield chat
        context.close()


def is_stored(chat: ChatPage) -> bool:
    return chat.stored()[1:] == [("assistant", WORDS, "complete")]


def test_an_answer_is_seen_to_grow_over_a_reload_and_is_whole(
    browser: Browser, server: AppServer
) -> None:
    with behind_nginx(browser, server) as chat:
        chat.send("/demo tokens=150 rate=20 words=1")
        expect(chat.answer).to_contain_text("w5 ")

        chat.page.reload()

        expect(chat.answer).to_contain_text("w30 ")
        chat.has_status("streaming")
        chat.reads(WORDS)
        chat.has_status("done")
        assert is_stored(chat)


def test_an_answer_is_seen_to_grow_where_streams_are_held_back(
    browser: Browser, server: AppServer
) -> None:
    with behind_nginx(browser, server, replacements=HOLDING_STREAMS_BACK) as chat:
        # So slow that the page starts to poll after ten seconds, before nginx's buffer is full.
        chat.send("/demo tokens=150 rate=10 words=1")

        expect(chat.answer).to_contain_text("w5 ")
        chat.has_status("streaming")
        chat.reads(WORDS)
        chat.has_status("done")
        assert is_stored(chat)
