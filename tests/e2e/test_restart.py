"""The page of a server as `make run` starts it: without Redis, and answered by the demo model."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.caller import rows

pytestmark = pytest.mark.timeout(120)

WORDS = "".join(f"w{number} " for number in range(1, 201))
KEPT = "SELECT checkpoint FROM stream WHERE checkpoint LIKE '%w20 %'"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server as `make run` starts it: the demo model answers."""
    folder, settings = tmp_path_factory.mktemp("restart"), {"CHECKPOINT_INTERVAL": "0.1"}
    with running(AppServer(folder=folder, mode="prod", settings=settings)) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: AppServer) -> Iterator[Page]:
    context = browser.new_context(base_url=server.page, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.fixture
def chat(page: Page, server: AppServer) -> ChatPage:
    chat = ChatPage(page, database=server.folder / "chat.db")
    chat.open()
    return chat


def test_an_empty_page_offers_prompts_for_the_demo_model(chat: ChatPage, page: Page) -> None:
    heading = page.get_by_role("heading", name="What would you like to know?")
    place = heading.bounding_box()

    page.get_by_test_id("starters").get_by_role("button", name="fails midway").click()

    expect(chat.prompt).to_have_value(re.compile("fail="))
    expect(chat.prompt).to_be_focused()
    assert heading.bounding_box() == place
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("prompt-message")).to_have_text(re.compile("fail="))
    expect(page.get_by_test_id("starters")).to_have_count(0)


def test_the_saved_text_is_shown_as_interrupted_and_can_be_continued(
    chat: ChatPage, page: Page, server: AppServer
) -> None:
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
