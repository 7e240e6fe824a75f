"""`createResumableFetch` under the AI SDK, which never notices a cut."""

from collections.abc import Iterator

import pytest

from tests.interop.conftest import Visit
from tests.support.app_server import AppServer
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts
from tests.support.tcp_proxy import TcpProxy, tcp_proxy_in_thread

PIECES = [f"Piece {number} ☃. " for number in range(7)]
TEXT = "".join(PIECES)
IN_PIECES = Reply(
    body=(
        ROLE,
        *(part for piece in PIECES for part in (*texts(piece), Cue.HOLD)),
        *ending(),
    )
)


@pytest.fixture
def proxy(servers: tuple[AppServer, AppServer]) -> Iterator[TcpProxy]:
    """A proxy to the first server, to cut connections."""
    with tcp_proxy_in_thread(port=servers[0].port) as proxy:
        yield proxy


def test_six_resets_in_one_answer_are_invisible_to_the_sdk(
    proxy: TcpProxy, visit: Visit, model: OpenAIServer
) -> None:
    model.script(IN_PIECES)
    page = visit(f"http://127.0.0.1:{proxy.port}", resumable=True)
    page.send("Go on")

    for number in range(1, len(PIECES)):
        page.reads("".join(PIECES[:number]))
        proxy.cut_after(7 * number)  # in the middle of the next event
        model.release()
    page.reads(TEXT)
    model.release()
    page.has_status("ready")

    assert proxy.cuts == 6
    assert page.texts == ["Go on", TEXT]
    assert page.chunks.count("start") == 1
    assert page.chunks.count("text-delta") == len(PIECES)
    assert len(model.requests) == 1


def test_a_reset_before_the_first_event_and_one_in_the_replay_are_invisible_too(
    proxy: TcpProxy, servers: tuple[AppServer, AppServer], visit: Visit, model: OpenAIServer
) -> None:
    model.script(IN_PIECES)
    sender = visit(servers[1])
    sender.send("Go on")
    sender.reads(PIECES[0])
    page = visit(f"http://127.0.0.1:{proxy.port}", resumable=True, messages=sender.messages[:1])
    proxy.cut_after(1)

    page.resume()
    page.reads(PIECES[0])
    assert proxy.cuts == 1
    proxy.cut_after(1)
    for _ in PIECES:
        model.release()
    page.has_status("ready")

    assert proxy.cuts == 2
    assert page.texts == ["Go on", TEXT]


def test_without_the_resumable_fetch_the_first_reset_is_an_error(
    proxy: TcpProxy, visit: Visit, model: OpenAIServer
) -> None:
    model.script(IN_PIECES)
    page = visit(f"http://127.0.0.1:{proxy.port}")
    page.send("Go on")
    page.reads(PIECES[0])
    proxy.cut_after(7)
    for _ in PIECES:
        model.release()

    page.has_status("error")
