"""`python -m bench.page`: what the production build of the page costs a browser.

The run uses one application, one Chromium and a scripted model on the loopback that answers on cue.
The figures go to `bench/results/page.json` and between the markers in `docs/benchmarks.md`.
Main-thread times are those of the renderer's main-thread tasks in Chromium's own trace.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from bench import machine
from bench.browser import (
    FLAGS,
    Wire,
    first_load,
    script_ms,
    tab,
    time_to_prompt,
    time_to_text,
    traced,
)
from bench.page_report import Figure, write
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
    texts,
)
from tests.support.programs import CHROMIUM, find

_FLUSHES, _FLUSH_CHARS, _FLUSH_S = 400, 20, 0.02
_RELOADS = 15
_TURNS = 250
_LONG_TASK_MS = 50.0

_SECTION = """## Way {number}

The **short** way is [signposted](https://example.org/{number}); `walk({number})` says how far it is.
Some *words* follow, so that a paragraph is one, and they go on for a line or two more.

- take water
- take a map, number {number}

```python
def walk(metres: float) -> int:
    return {number} + metres / 78
```

| way | length |
|:----|-------:|
| by the mill | {number} km |

"""


def main() -> None:
    """Measure, print and save all figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        openai_server_in_thread() as model,
        running(_application(Path(folder), model)) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find(CHROMIUM), args=FLAGS)
        files = first_load(browser, app)
        figures = [
            Figure(
                what="first load, all files, gzipped",
                value=sum(gz for _, gz in files.values()) / 1000,
                unit="kB",
            ),
            *_prompt(browser, app),
            *_flushed_answer(browser, app, model),
            *_growing_block(browser, app, model, "list", _list()),
            *_growing_block(browser, app, model, "table", _table()),
            *_reloads(browser, app, model),
            *_long_chat(browser, app, model),
        ]
        version = browser.version
        browser.close()
    for figure in figures:
        print(figure.line())
    write(machine.describe() | {"Chromium": version}, figures, files)


def _application(folder: Path, model: OpenAIServer) -> AppServer:
    settings = {
        "CHAT_MODEL": "openai/test-model",
        "MODEL_API_BASE": model.base_url,
        "MODEL_API_KEY": "test-key",
    }
    return AppServer(folder=folder, mode="prod", settings=settings)


def _prompt(browser: Browser, app: AppServer) -> Iterator[Figure]:
    with tab(browser, app) as chat:
        shown = time_to_prompt(chat, "How do I get there?")
        yield Figure(what="Enter until the prompt is shown", value=shown, unit="ms", budget=100)
        chat.has_status("done")


def _flushed_answer(browser: Browser, app: AppServer, model: OpenAIServer) -> Iterator[Figure]:
    """Measure an 8 KB answer in 400 pieces, 50 a second, in a chat with 20 earlier messages."""
    text = "".join(_SECTION.format(number=number) for number in range(40))[
        : _FLUSHES * _FLUSH_CHARS
    ]
    with tab(browser, app) as chat:
        model.script(answer(text[:1000]))
        chat.send("A beginning")
        chat.has_status("done")
        chat.lengthen(turns=9, reply=text[:1000])
        chat.page.reload()
        model.script(_paced(text))
        wire = Wire()
        wire.watch(chat.page)
        chat.send("How do I get there?")
        with traced(browser, chat.page) as tasks:
            _pace(model)
            chat.reads(text)
            chat.page.evaluate("window.shifts = 0")
            chat.has_status("done")
            expect(chat.page.get_by_test_id("details").last).to_contain_text("tokens")
        label = "8 KB answer in 400 flushes: "
        yield Figure(
            what=f"{label}the stream on the wire", value=wire.stream / 1000, unit="kB", budget=20
        )
        yield Figure(what=f"{label}State's messages meanwhile", value=wire.state / 1000, unit="kB")
        yield Figure(what=f"{label}main thread", value=sum(tasks) / 1000, unit="s", budget=3)
        yield Figure(what=f"{label}tasks over 50 ms", value=_long(tasks), unit="")
        yield Figure(
            what=f"{label}layout shift at its end",
            value=chat.page.evaluate("window.shifts"),
            unit="",
            budget=0,
        )


def _growing_block(
    browser: Browser, app: AppServer, model: OpenAIServer, kind: str, text: str
) -> Iterator[Figure]:
    """Measure an 8 KB answer in 400 pieces that is one block, growing to the end."""
    with tab(browser, app) as chat:
        model.script(_paced(text))
        chat.send("What is there on the way?")
        with traced(browser, chat.page) as tasks:
            _pace(model)
            chat.reads(text)
            chat.has_status("done")
        label = f"8 KB {kind} in 400 flushes: "
        yield Figure(what=f"{label}main thread", value=sum(tasks) / 1000, unit="s", budget=3)
        yield Figure(what=f"{label}tasks over 50 ms", value=_long(tasks), unit="")


def _list() -> str:
    lines = (f"- item {number} of some words and `code{number}`\n" for number in range(400))
    return "".join(lines)[: _FLUSHES * _FLUSH_CHARS]


def _table() -> str:
    head = "| number | what | how |\n|--:|:--|:--|\n"
    rows = (f"| {number} | some words | `code{number}` |\n" for number in range(400))
    return (head + "".join(rows))[: _FLUSHES * _FLUSH_CHARS]


def _reloads(browser: Browser, app: AppServer, model: OpenAIServer) -> Iterator[Figure]:
    """Measure the time from a reload until the text of the answer is visible."""
    with tab(browser, app) as chat:
        text = _SECTION.format(number=1) * 3
        model.script(answer(text))
        chat.send("How do I get there?")
        chat.has_status("done")
        yield Figure(
            what=f"reload until the text is visible, median of {_RELOADS}",
            value=time_to_text(chat, text, reloads=_RELOADS),
            unit="ms",
            budget=400,
        )
        model.script(Reply(body=(ROLE, *texts(text), Cue.HOLD, *ending())))
        chat.send("Once more?")
        chat.reads(text)
        yield Figure(
            what=f"the same in mid-answer, median of {_RELOADS}",
            value=time_to_text(chat, text, reloads=_RELOADS),
            unit="ms",
            budget=400,
        )
        model.release()
        chat.has_status("done")


def _long_chat(browser: Browser, app: AppServer, model: OpenAIServer) -> Iterator[Figure]:
    """Measure a chat of 500 messages; the last two figures have all of them on the page."""
    text = _SECTION.format(number=1) * 2
    with tab(browser, app) as chat:
        model.script(answer(text))
        chat.send("A beginning")
        chat.has_status("done")
        chat.lengthen(turns=_TURNS - 1, reply=text)
        label = "500 messages: "
        yield Figure(
            what=f"{label}reload until the text is visible, median of {_RELOADS}",
            value=time_to_text(chat, text, reloads=_RELOADS),
            unit="ms",
            budget=400,
        )
        yield Figure(what=f"{label}script until then", value=script_ms(chat, text), unit="ms")
        model.script(_paced(text[:2000].ljust(2000, ".")))
        chat.send("And now?")
        _show_all(chat)  # only now: sending a prompt goes back to the newest messages
        with traced(browser, chat.page) as tasks:
            _pace(model, flushes=100)
            chat.has_status("done")
        yield Figure(
            what=f"{label}all shown, answer of 100 flushes in 2 s: main thread",
            value=sum(tasks) / 1000,
            unit="s",
        )
        yield Figure(what=f"{label}all shown, tasks over 50 ms in it", value=_long(tasks), unit="")


def _paced(text: str) -> Reply:
    """Return `text` in pieces of 20 characters, each of which waits for a release."""
    pieces = [text[at : at + _FLUSH_CHARS] for at in range(0, len(text), _FLUSH_CHARS)]
    body = [part for piece in pieces for part in (Cue.HOLD, *texts(piece))]
    return Reply(body=(ROLE, *body, Cue.HOLD, *ending()))


def _pace(model: OpenAIServer, *, flushes: int = _FLUSHES) -> None:
    due = time.monotonic()
    for _ in range(flushes + 1):
        model.release()
        due += _FLUSH_S
        time.sleep(max(0.0, due - time.monotonic()))


def _show_all(chat: ChatPage) -> None:
    """Scroll up until every message is on the page, then down to the end."""
    prompts = chat.page.get_by_test_id("prompt-message")
    while (shown := prompts.count()) <= _TURNS:
        chat.page.get_by_test_id("scroll-area").evaluate("area => { area.scrollTop = 0 }")
        chat.page.wait_for_function(
            "shown => document.querySelectorAll('[data-testid=prompt-message]').length > shown",
            arg=shown,
        )
    chat.page.get_by_test_id("scroll-area").evaluate(
        "area => { area.scrollTop = area.scrollHeight }"
    )


def _long(tasks: list[float]) -> int:
    return sum(task > _LONG_TASK_MS for task in tasks)


if __name__ == "__main__":
    main()
