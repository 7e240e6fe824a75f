"""Refused prompts, and an outage of the store, as the reader experiences them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.timeout(120)

PROMPTS = 3
"""How many prompts the server accepts from one user in a minute."""


@pytest.fixture(scope="module")
def store() -> Iterator[RedisServer]:
    """A Redis for this module alone, which the tests break."""
    with running_redis() as store:
        yield store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, store: RedisServer) -> Iterator[AppServer]:
    settings = {"REDIS_URL": store.url, "MAX_PROMPTS_PER_MINUTE": str(PROMPTS)}
    folder = tmp_path_factory.mktemp("outage")
    with running(AppServer(folder=folder, mode="prod", settings=settings)) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: AppServer) -> Iterator[Page]:
    """A tab of a first-time visitor."""
    context = browser.new_context(base_url=server.page, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def chat(page: Page, server: AppServer) -> ChatPage:
    chat = ChatPage(page, database=Path(server.folder) / "chat.db")
    chat.open()
    return chat


def words(count: int) -> str:
    return "".join(f"w{number} " for number in range(1, count + 1))


# This runs before the outages: for some seconds after one, prompts are not counted.
def test_a_prompt_too_many_stays_in_the_box(chat: ChatPage) -> None:
    for number in range(PROMPTS):
        chat.send(f"/demo tokens=5 rate=0 words=1 seed={number}")
        chat.has_status("done")
        expect(chat.prompt).to_have_value("")

    chat.prompt.fill("One more")
    chat.prompt.press("Enter")

    expect(chat.page.get_by_test_id("send-trouble")).to_contain_text("Too many messages")
    expect(chat.prompt).to_have_value("One more")
    expect(chat.prompt).to_be_editable()


def test_an_answer_waits_for_the_store_and_the_page_says_so_while_it_lasts(
    chat: ChatPage, store: RedisServer
) -> None:
    chat.send("/demo tokens=120 rate=20 words=1")
    expect(chat.answer).to_contain_text("w9 ")
    outage = chat.page.get_by_test_id("outage")
    expect(outage).to_be_hidden()

    store.stop()
    expect(outage).to_be_visible()
    chat.has_status("streaming")
    store.start()

    expect(outage).to_be_hidden()
    chat.reads(words(120))
    chat.has_status("done")
    assert chat.stored()[1:] == [("assistant", words(120), "complete")]


def test_a_refused_stop_can_be_repeated_when_the_store_is_back(
    chat: ChatPage, store: RedisServer
) -> None:
    chat.send("/demo tokens=2000 rate=20 words=1")
    expect(chat.answer).to_contain_text("w9 ")
    stop = chat.page.get_by_test_id("stop")
    store.stop()

    stop.click()

    expect(chat.page.get_by_test_id("send-trouble")).to_contain_text("Try again in a moment")
    store.start()
    expect(chat.page.get_by_test_id("outage")).to_be_hidden()
    stop.click()
    chat.has_status("stopped")


def test_a_refused_prompt_stays_in_the_box_and_can_be_sent_when_the_store_is_back(
    chat: ChatPage, store: RedisServer
) -> None:
    prompt = "/demo tokens=5 rate=0 words=1"
    refused, outage = (chat.page.get_by_test_id(name) for name in ("send-trouble", "outage"))
    store.stop()
    chat.prompt.fill(prompt)
    chat.prompt.press("Enter")

    expect(refused).to_contain_text("Nothing is lost")
    expect(outage).to_be_visible()
    expect(chat.prompt).to_have_value(prompt)
    expect(chat.prompt).to_be_editable()
    store.start()

    expect(outage).to_be_hidden()
    expect(refused).to_be_hidden()
    chat.send(prompt)
    chat.reads(words(5))
    chat.has_status("done")
    assert len(chat.stored()) == 2
