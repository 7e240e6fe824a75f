"""axe finds nothing serious in any state of the page, in both themes, at either width."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chat_page import ChatPage
from tests.support.npm import install
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts

pytestmark = pytest.mark.timeout(120)  # each test runs axe several times

FOLDER = Path(__file__).parent / "axe"
RICH = (
    "# A walk\n\nSome *words* and a [link](https://example.test), then:\n\n- one\n- `two`\n\n"
    "```python\nprint('hello')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> said\n"
)
HELD = Reply(body=(ROLE, Cue.HOLD, *texts(RICH), Cue.HOLD, *ending()))
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    install(FOLDER)
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text()


Judge = Callable[[str], None]


@pytest.fixture
def judge(page: Page, axe: str) -> Judge:
    """Runs axe in both themes and fails on serious violations."""

    def look(state: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_function(
                "name => document.documentElement.className === name", arg=scheme
            )
            page.evaluate(FRAMES)  # the colours apply with the next frame
            page.evaluate(axe)
            found = page.evaluate("tags => axe.run({ runOnly: tags })", RULES)
            serious = [
                problem
                for problem in found["violations"]
                if problem["impact"] in {"serious", "critical"}
            ]
            assert serious == [], f"{state}, {scheme}: {told(serious)}"

    return look


def told(problems: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{problem['id']}: {node['html'][:200]}\n  {node['failureSummary']}"
        for problem in problems
        for node in problem["nodes"]
    )


@pytest.fixture(params=[1280, 390], ids=["wide", "narrow"])
def page(page: Page, request: pytest.FixtureRequest) -> Page:
    page.set_viewport_size({"width": request.param, "height": 844})
    page.emulate_media(reduced_motion="reduce")  # axe cannot judge colours that are changing
    return page


def test_no_state_of_an_answer_has_a_serious_violation(
    chat: ChatPage, judge: Judge, model: OpenAIServer
) -> None:
    expect(chat.prompt).to_be_enabled()
    judge("empty")
    model.script(HELD, HELD)
    chat.send("Where do we go?")
    expect(chat.page.get_by_test_id("thinking")).to_be_visible()
    judge("thinking")
    model.release()
    chat.reads(RICH)
    judge("streaming")
    chat.prompt.fill("And then?")
    chat.prompt.press("Enter")
    expect(chat.page.get_by_test_id("waits")).to_be_visible()
    judge("a message that waits")
    chat.prompt.fill("")
    model.release()
    chat.has_status("done")
    judge("done")

    chat.send("Once more")
    model.release()
    chat.reads(RICH)
    chat.page.keyboard.press("Escape")
    chat.has_status("stopped")
    judge("stopped")


def test_failures_and_missing_pages_have_no_serious_violation(
    chat: ChatPage, judge: Judge, model: OpenAIServer
) -> None:
    model.script(Reply(status=500, body=(b"{}",)))
    chat.send("Hello?")
    expect(chat.page.get_by_test_id("answer-trouble")).to_be_visible()
    judge("failed")
    chat.prompt.fill("x" * 100_100)
    expect(chat.page.get_by_role("alert").filter(has_text="too long")).to_be_visible()
    judge("too long")

    chat.page.goto("/chat/none")
    expect(chat.page.get_by_test_id("not-found")).to_be_visible()
    judge("not found")


def test_the_list_and_its_menus_have_no_serious_violation(chat: ChatPage, judge: Judge) -> None:
    chat.send("A chat to look at")
    chat.has_status("done")
    wide = (chat.page.viewport_size or {"width": 0})["width"] > 400
    if not wide:
        chat.page.get_by_test_id("open-sidebar").click()
        expect(chat.page.get_by_test_id("chat-link")).to_be_visible()
        judge("drawer")
    line = chat.page.get_by_test_id("chat-link")
    line.focus()
    chat.page.keyboard.press("Tab")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_test_id("chat-menu")).to_be_visible()
    judge("menu")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_test_id("chat-name")).to_be_focused()
    judge("renaming")
    chat.page.keyboard.press("Escape")
    chat.page.keyboard.press("Control+k")
    chat.page.get_by_test_id("chat-search").fill("look")
    expect(chat.page.get_by_test_id("found-chat")).to_have_count(1)
    judge("found")
    chat.page.get_by_test_id("chat-search").fill("")
    chat.page.keyboard.press("Control+/")
    expect(chat.page.get_by_test_id("shortcuts-dialog")).to_be_visible()
    judge("help")
    chat.page.keyboard.press("Escape")
    line.focus()
    chat.page.keyboard.press("Tab")
    chat.page.keyboard.press("Enter")
    chat.page.keyboard.press("End")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_test_id("undo")).to_be_visible()
    judge("undo")


def test_nothing_moves_for_a_reader_who_asked_for_reduced_motion(
    chat: ChatPage, model: OpenAIServer
) -> None:
    chat.page.emulate_media(reduced_motion="reduce")
    model.script(HELD)

    chat.send("Where do we go?")
    expect(chat.page.get_by_test_id("thinking")).to_be_visible()

    moving = chat.page.evaluate(
        "document.getAnimations().filter(one => one.effect.getComputedTiming().endTime > 1000).length"
    )
    assert moving == 0
    model.release()
    model.release()
    chat.has_status("done")


def test_every_touch_target_is_large_enough(chat: ChatPage) -> None:
    browser = chat.page.context.browser
    assert browser is not None
    chat.send("First")
    chat.has_status("done")
    phone = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        storage_state=chat.page.context.storage_state(),
    )
    try:
        page = phone.new_page()
        page.goto(chat.page.url)
        page.get_by_test_id("open-sidebar").click()
        expect(page.get_by_test_id("chat-link")).to_be_visible()
        small = page.evaluate(
            """() => [...document.querySelectorAll('.sidebar :is(a, button, input), .composer button, header :is(a, button)')]
                .map(one => [one.outerHTML.slice(0, 120), one.getBoundingClientRect()])
                .filter(([, box]) => box.width && (box.width < 44 || box.height < 44))
                .map(([html]) => html)"""
        )
        assert small == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        phone.close()
