"""The page of a server without Redis that is killed in mid-answer and restarted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.caller import rows

pytestmark = pytest.mark.timeout(120)

WORDS = "".join(f"w{number} " for number in range(1, 201))
KEPT = "SELECT checkpoint FROM stream WHERE checkpoint LIKE '%w20 %'"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AppServer]:
    settings = {"CHECKPOINT_INTERVAL": "0.1"}
    with running(AppServer(folder=tmp_path, mode="prod", settings=settings)) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: AppServer) -> Iterator[Page]:
    context = browser.new_context(base_url=server.page, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def test_the_saved_text_is_shown_as_interrupted_and_can_be_continued(
    page: Page, server: AppServer
) -> None:
    chat = ChatPage(page, database=server.folder / "chat.db")
    chat.open()
    chat.send("/demo tokens=200 rate=20 words=1")
    expect(chat.answer).to_contain_text("w30 ")
    server.kill()
    [(kept,)] = rows(server, KEPT)
    expect(page.get_by_test_id("offline")).to_be_visible()

    server.start()

    chat.has_status("interrupted")
    chat.reads(kept)
    expect(page.get_by_test_id("offline")).to_be_hidden()
    page.get_by_test_id("continue").click()
    chat.reads(WORDS)
    chat.has_status("done")
    assert chat.stored()[1:] == [("assistant", WORDS, "complete")]
