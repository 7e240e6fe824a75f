"""A page that uses nothing but `new EventSource`, in a real browser."""

from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.support.app_server import AppServer, running
from tests.support.caller import Caller
from tests.support.tcp_proxy import TcpProxy, tcp_proxy_in_thread

PAGE = """<script>
  const seen = { ids: [], text: "", message: "", done: 0, opened: 0 };
  const source = new EventSource("/api/chat?chatId=CHAT");
  source.onopen = () => seen.opened++;
  source.onmessage = ({ data, lastEventId }) => {
    if (data === "[DONE]") return seen.done++;
    const event = JSON.parse(data);
    seen.ids.push(lastEventId);
    if (event.type === "text-delta") seen.text += event.delta;
    if (event.type === "data-appendMessage") seen.message += JSON.parse(event.data).parts[0].text;
  };
</script>"""
STOPPED = "() => source.readyState === EventSource.CLOSED"
TOO_LONG = 30_000  # ms; the browser waits three seconds before each reconnect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with running(AppServer(folder=tmp_path_factory.mktemp("event_source"))) as server:
        yield server


@pytest.fixture
def proxy(server: AppServer) -> Iterator[TcpProxy]:
    with tcp_proxy_in_thread(port=server.port) as proxy:
        yield proxy


@pytest.fixture
def caller(server: AppServer) -> Iterator[Caller]:
    with Caller(server) as caller:
        yield caller


@pytest.fixture
def page(browser: Browser, server: AppServer, proxy: TcpProxy, caller: Caller) -> Iterator[Page]:
    """A visitor's tab with two chats: one answer is complete, the other has just begun."""
    with caller.send(server, "/demo tokens=3 rate=0 words=1", chat="finished") as answer:
        assert list(answer)
    with caller.send(server, "/demo tokens=160 rate=40 words=1", chat="growing") as answer:
        next(answer)
    home = f"http://127.0.0.1:{proxy.port}"
    context = browser.new_context(base_url=home)
    for cookie in caller.http.cookies.jar:
        context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": home}])
    page = context.new_page()
    for chat in ("finished", "growing"):
        page.route(f"**/{chat}.html", partial(_show, PAGE.replace("CHAT", chat)))
    yield page
    context.close()


def _show(html: str, route: Route) -> None:
    route.fulfill(body=html, content_type="text/html")


def test_an_event_source_resumes_after_each_cut_and_stops_for_good_at_the_end(
    page: Page, proxy: TcpProxy
) -> None:
    proxy.cut_after(1500)
    page.goto("/growing.html")
    page.wait_for_function(
        "() => seen.opened === 1 && source.readyState === EventSource.CONNECTING"
    )
    proxy.cut_after(3000)

    page.wait_for_function(STOPPED, timeout=TOO_LONG)

    seen = page.evaluate("seen")
    assert proxy.cuts == 2
    assert seen["opened"] == 3
    assert seen["done"] == 1
    assert seen["text"] == "".join(f"w{number} " for number in range(1, 161))
    offsets = [int(offset) for offset in seen["ids"]]
    assert offsets == sorted(set(offsets))


def test_an_event_source_gets_a_finished_answer_once_and_stops(page: Page) -> None:
    page.goto("/finished.html")

    page.wait_for_function(STOPPED, timeout=TOO_LONG)

    seen = page.evaluate("seen")
    assert (seen["message"], seen["done"]) == ("w1 w2 w3 ", 1)
