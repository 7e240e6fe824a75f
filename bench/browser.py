"""A browser tab with the page, and what can be measured from outside it."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Response, ViewportSize, expect

from tests.e2e.chat_page import ChatPage
from tests.support.app_server import AppServer

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_VIEW: ViewportSize = {"width": 1280, "height": 800}
_TRACED = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]

_PROMPT_SEEN = """() => {
  addEventListener("keydown", () => {
    window.entered = performance.now();
    const look = () => {
      if (document.querySelector("[data-testid=sent-prompt]")) window.promptSeen = performance.now();
      else requestAnimationFrame(look);
    };
    look();
  }, { capture: true, once: true });
}"""
_TEXT_SEEN = """() => {
  const look = () => {
    const shown = [...document.querySelectorAll("[data-testid=answer] .md")].at(-1);
    if (shown?.textContent) requestAnimationFrame(() => { window.textSeen = performance.now(); });
    else requestAnimationFrame(look);
  };
  look();
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) window.shifts += value;
  }).observe({ type: "layout-shift", buffered: true });
}"""


@dataclass(slots=True)
class Wire:
    """Counts the bytes a watched page receives: `stream` of answers, `state` of State messages."""

    stream: int = 0
    state: int = 0
    _streams: set[str] = field(default_factory=set[str])

    def watch(self, page: Page) -> None:
        """Start counting."""
        session = page.context.new_cdp_session(page)
        session.on("Network.responseReceived", lambda event: self._begin(event))
        session.on("Network.dataReceived", lambda event: self._take(event))
        session.on("Network.webSocketFrameReceived", lambda event: self._hear(event))
        session.send("Network.enable")

    def _begin(self, event: dict[str, Any]) -> None:
        if "/api/chat?" in event["response"]["url"]:
            self._streams.add(event["requestId"])

    def _take(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._streams:
            self.stream += event["encodedDataLength"] or event["dataLength"]

    def _hear(self, event: dict[str, Any]) -> None:
        self.state += len(event["response"]["payloadData"].encode())


@contextmanager
def tab(browser: Browser, app: AppServer) -> Iterator[ChatPage]:
    """Open a new chat in a fresh browser context, as a first-time visitor."""
    context = browser.new_context(base_url=app.page, viewport=_VIEW)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.add_init_script(f"({_TEXT_SEEN})()")
    chat = ChatPage(page, database=Path(app.folder) / "chat.db")
    chat.open()
    expect(chat.prompt).to_be_enabled()
    yield chat
    context.close()


def first_load(browser: Browser, app: AppServer) -> dict[str, tuple[int, int]]:
    """Return the size and gzipped size of each file that an empty page fetches."""
    with tab(browser, app) as chat:
        session = chat.page.context.storage_state()  # without a session the page loads twice
    context = browser.new_context(base_url=app.page, viewport=_VIEW, storage_state=session)
    page = context.new_page()
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    page.goto("/", wait_until="networkidle")
    files = {
        re.sub(r"-[\w-]{8}(?=\.\w+$)", "", urlsplit(response.url).path): response.body()
        for response in responses
        if response.status == HTTPStatus.OK
        and response.request.resource_type in {"document", "script", "stylesheet"}
    }
    context.close()
    return {path: (len(body), len(gzip.compress(body))) for path, body in files.items()}


def time_to_prompt(chat: ChatPage, text: str) -> float:
    """Return the milliseconds from Enter to the shown prompt, on a link with 500 ms latency."""
    chat.page.evaluate(_PROMPT_SEEN)
    session = chat.page.context.new_cdp_session(chat.page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 500, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    chat.prompt.fill(text)
    chat.prompt.press("Enter")
    chat.page.wait_for_function("() => window.promptSeen")
    return chat.page.evaluate("window.promptSeen - window.entered")


def time_to_text(chat: ChatPage, text: str, *, reloads: int) -> float:
    """Return the median milliseconds from a reload to `text` on the screen."""
    found: list[float] = []
    for _ in range(reloads):
        chat.page.reload(wait_until="commit")
        chat.reads(text)
        chat.page.wait_for_function("() => window.textSeen")
        found.append(chat.page.evaluate("window.textSeen"))
    return median(found)


def script_ms(chat: ChatPage, text: str) -> float:
    """Return the milliseconds of script between a reload and the text of the answer."""
    session = chat.page.context.new_cdp_session(chat.page)
    session.send("Performance.enable")

    def so_far() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration")

    before = so_far()
    time_to_text(chat, text, reloads=1)
    return (so_far() - before) * 1000


@contextmanager
def traced(browser: Browser, page: Page) -> Iterator[list[float]]:
    """Collect the durations, in ms, of the main thread's tasks; the list fills after the block."""
    tasks: list[float] = []
    browser.start_tracing(page=page, categories=_TRACED)
    yield tasks
    events = json.loads(browser.stop_tracing())["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks += [
        event["tdur"] / 1000
        for event in events
        if event["name"] == "RunTask"
        and (event["pid"], event["tid"]) in threads
        and "tdur" in event
    ]
