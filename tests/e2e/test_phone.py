"""A conversation on a phone: everything fits, can be touched, and follows the finger."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, answer, texts

WIDTH, HEIGHT, FINGER = 390, 844, 44
LONG = (
    "\n\n".join(f"Paragraph {number}: a way by the lake, and another one." for number in range(30))
    + "\n\n```python\n"
    + "walk(home) " * 20
    + "\n```\n\n| "
    + " | ".join(f"column {number}" for number in range(8))
    + " |\n"
    + "|---" * 8
    + "|\n"
    + "| a cell " * 8
    + "|\n\n"
    + "Averylongwordthatnobodycanbreak" * 8
)
TOO_SMALL = """(finger) => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !one.closest(".md p, .sr-only"))
  .map((one) => [one.outerHTML.slice(0, 160), one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < finger || box.height < finger))
  .map(([html, box]) => `${Math.round(box.width)} × ${Math.round(box.height)}: ${html}`)"""
AT_END = """() => {
  const area = document.querySelector("[data-testid=scroll-area]");
  return area.scrollHeight - area.scrollTop - area.clientHeight <= 1;
}"""


@pytest.fixture
def context(browser: Browser, app: AppServer) -> Iterator[BrowserContext]:
    context = browser.new_context(
        base_url=app.page,
        viewport={"width": WIDTH, "height": HEIGHT},
        has_touch=True,
        is_mobile=True,
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


def fits(page: Page) -> None:
    """Check that nothing is wider than the screen and every target is as large as a finger."""
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTH
    area = page.get_by_test_id("scroll-area")
    assert area.evaluate("area => area.scrollWidth <= area.clientWidth")
    assert page.evaluate(TOO_SMALL, FINGER) == []


def test_a_conversation_fits_and_follows_the_finger(chat: ChatPage, model: OpenAIServer) -> None:
    page = chat.page
    expect(chat.prompt).to_be_enabled()
    fits(page)
    model.script(Reply(body=(ROLE, Cue.HOLD, *texts(LONG), Cue.HOLD, *texts("\n\nOn."), Cue.HOLD)))
    chat.prompt.fill("Where do we go?")
    page.get_by_test_id("send").tap()
    expect(page.get_by_test_id("thinking")).to_be_visible()
    fits(page)

    model.release()
    chat.reads(LONG)
    page.wait_for_function(AT_END)
    fits(page)
    page.get_by_test_id("scroll-area").evaluate("area => { area.scrollTop -= 600 }")
    expect(page.get_by_test_id("jump")).to_be_visible()
    fits(page)
    model.release()
    chat.reads(LONG + "\n\nOn.")
    expect(page.get_by_test_id("new-text")).to_be_visible()
    assert not page.evaluate(AT_END)
    page.get_by_test_id("jump").tap()
    page.wait_for_function(AT_END)

    page.get_by_test_id("stop").tap()
    expect(page.get_by_test_id("continue")).to_be_visible()
    fits(page)
    model.script(answer("There."))
    page.get_by_test_id("continue").tap()
    chat.has_status("done")
    chat.reads(LONG + "\n\nOn.There.")
    fits(page)


def test_the_drawer_opens_over_the_conversation_and_a_chosen_chat_closes_it(
    chat: ChatPage, model: OpenAIServer
) -> None:
    page, drawer = chat.page, chat.page.get_by_test_id("sidebar")
    for prompt in ("First", "Second"):
        chat.send(prompt)
        chat.has_status("done")
        page.get_by_role("link", name="New chat").last.tap()
        expect(page.get_by_test_id("greeting")).to_be_visible()

    page.get_by_test_id("open-sidebar").tap()
    expect(drawer).to_be_in_viewport(ratio=1)
    fits(page)
    page.get_by_test_id("chat-link").filter(has_text="First").tap()

    expect(drawer).to_be_hidden()
    expect(page.get_by_test_id("prompt-message")).to_have_text("First")
    page.get_by_test_id("open-sidebar").tap()
    page.touchscreen.tap(WIDTH - 10, HEIGHT // 2)
    expect(drawer).to_be_hidden()
