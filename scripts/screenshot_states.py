"""Take screenshots of every state of a conversation, wide and narrow, light and dark.

`make screenshots` puts them in `screenshots/`. They are for review by eye and are not committed.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer, running
from tests.support.openai_server import (
    ROLE,
    Cue,
    OpenAIServer,
    Reply,
    answer,
    ending,
    openai_server_in_thread,
    reasoning,
    texts,
)
from tests.support.programs import CHROMIUM, find

FOLDER = Path("screenshots")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SIZES = {"wide": {"width": 1280, "height": 800}, "narrow": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
STREAM = re.compile(r"/api/chat\?chatId=")

BEGINNING = """## Three ways to the lake

The **short** one is [signposted](https://example.org); `walk()` says how far it is:

```python
def walk(metres: float, *, pace: float = 1.3) -> str:
    minutes = metres / pace / 60  # at an easy pace, with a stop or two for the view on the way down
    return f"{minutes:.0f} minutes"
```

| way | length | climb |
|:----|-------:|------:|
| by the mill | 2.4 km | 60 m |
| over the hill | 3.1 km | 210 m |

"""
END = """1. Take water.
2. The slope is \\(s = h / l\\), so

\\[ \\frac{210}{3100} \\approx 6.8\\,\\% \\]

> Nobody has ever been sorry to have left early.
"""


def main() -> None:
    """Start the application, take the screenshots, stop the application."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        openai_server_in_thread() as model,
        running(_application(Path(folder), model)) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find(CHROMIUM), args=FLAGS)
        for size in SIZES:
            for scheme in SCHEMES:
                with _page(browser, app, size=size, scheme=scheme) as page:
                    chat = ChatPage(page, database=Path(folder) / "chat.db")
                    for number, state in enumerate(_states(chat, model), start=1):
                        page.screenshot(path=FOLDER / f"{number}-{state}-{size}-{scheme}.png")
        browser.close()


def _application(folder: Path, model: OpenAIServer) -> AppServer:
    settings = {
        "CHAT_MODEL": "openai/test-model",
        "CHAT_MODELS": "openai/test-model,openai/test-model-with-a-longer-name",
        "MODEL_API_BASE": model.base_url,
        "MODEL_API_KEY": "test-key",
    }
    return AppServer(folder=folder, mode="prod", settings=settings)


@contextmanager
def _page(browser: Browser, app: AppServer, *, size: str, scheme: str) -> Iterator[Page]:
    context = browser.new_context(
        base_url=app.page,
        viewport=SIZES[size],
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=size == "narrow",
        is_mobile=size == "narrow",
        reduced_motion="reduce",
    )
    yield context.new_page()
    context.close()


def _states(chat: ChatPage, model: OpenAIServer) -> Iterator[str]:
    """Bring the page into each state in turn; yield the state's name once it is shown."""
    chat.open()
    expect(chat.page.get_by_text("Your chats will appear here.")).to_be_attached()
    expect(chat.page.get_by_test_id("model-picker")).to_be_visible()
    yield "empty"

    model.script(
        Reply(
            body=(
                ROLE,
                Cue.HOLD,
                *reasoning("The mill, or the hill? Both lead there."),
                *texts(BEGINNING),
                Cue.HOLD,
                *texts(END),
                *ending(),
            )
        )
    )
    chat.send("How do I get to the lake?")
    expect(chat.page.get_by_test_id("thinking")).to_have_css("opacity", "1")
    yield "thinking"
    model.release()
    chat.reads(BEGINNING)
    expect(chat.answer.locator(".hljs-keyword").first).to_be_visible()
    yield "streaming"
    chat.page.route(STREAM, lambda route: route.fulfill(status=404, json={"code": "not_found"}))
    chat.page.reload()
    chat.has_status("disconnected")
    yield "disconnected"
    chat.page.unroute(STREAM)
    chat.page.get_by_role("button", name="Reconnect").click()
    chat.reads(BEGINNING)
    model.release()
    chat.has_status("done")
    expect(chat.answer.locator(".katex").first).to_be_visible()
    yield "done"

    model.script(Reply(body=(ROLE, *texts("By bus: "), Cue.HOLD)))
    chat.send("And without walking?")
    chat.reads("By bus: ")
    chat.page.get_by_test_id("stop").click()
    expect(chat.page.get_by_test_id("continue")).to_be_visible()
    yield "stopped"

    model.script(answer("There is a boat, too."))
    chat.page.get_by_test_id("regenerate").last.click()
    chat.reads("There is a boat, too.")
    chat.has_status("done")
    yield "versions"

    model.script(Reply(status=500, body=(b"{}",)))
    chat.send("When does it go?")
    expect(chat.page.get_by_test_id("answer-trouble")).to_be_visible()
    yield "error"

    for number in range(3):
        text = f"Lake {number}.\n\n{BEGINNING}{END}"
        model.script(answer(text))
        chat.send(f"Tell me of lake number {number}, and take your time.")
        chat.reads(text)
        chat.has_status("done")
    chat.page.get_by_test_id("scroll-area").evaluate("area => { area.scrollTop -= 700 }")
    expect(chat.page.get_by_test_id("jump")).to_be_visible()
    yield "long"
    yield from _beside_the_conversation(chat)


def _beside_the_conversation(chat: ChatPage) -> Iterator[str]:
    page = chat.page
    drawer = page.get_by_test_id("open-sidebar")
    for prompt in (
        "A title that is so long that it does not fit into the line",
        "What else is there?",
    ):
        page.goto("/")
        chat.send(prompt)
        chat.has_status("done")
    if drawer.is_visible():
        drawer.click()
    expect(page.get_by_test_id("chat-link")).to_have_count(3)
    page.get_by_test_id("chat-options").nth(1).click()
    expect(page.get_by_test_id("chat-menu")).to_be_visible()
    yield "menu"
    page.keyboard.press("Escape")
    page.get_by_test_id("chat-search").fill("lake")
    expect(page.get_by_test_id("found-chat")).to_have_count(1)
    yield "found"
    page.get_by_test_id("chat-search").fill("")
    page.get_by_test_id("chat-link").last.click()
    expect(page.get_by_test_id("prompt-message").last).to_contain_text("lake number 2")
    page.evaluate("window.dispatchEvent(new Event('chat:edit-last'))")
    expect(page.get_by_test_id("edit-box")).to_be_focused()
    yield "edit"
    page.keyboard.press("Escape")
    page.emulate_media(media="print")
    yield "print"


if __name__ == "__main__":
    main()
