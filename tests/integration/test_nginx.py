"""The API behind a real nginx, with the documented configuration and with worse ones."""

from collections.abc import AsyncGenerator, Iterator

import anyio
import httpx
import pytest

from tests.support.app_server import AppServer, running
from tests.support.nginx import nginx_in_front_of
from tests.support.viewer import Viewer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

TOO_LONG = 45
HALF = "".join(f"w{number} " for number in range(1, 31))
WORDS = HALF + "".join(f"w{number} " for number in range(31, 61))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with running(AppServer(folder=tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
async def http(server: AppServer) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with a session."""
    async with httpx.AsyncClient(timeout=TOO_LONG) as http:
        (await http.post(f"{server.api}/api/session")).raise_for_status()
        yield http


def words(*, silence: float) -> str:
    """Return a prompt for `WORDS`, with seconds of silence after `HALF`."""
    return f"/demo tokens=60 rate=60 words=1 pause={silence}@30"


async def test_a_silence_longer_than_its_time_out_cuts_nobody_off(
    server: AppServer, http: httpx.AsyncClient
) -> None:
    with nginx_in_front_of(server.port) as nginx:
        streaming, polling = Viewer(http, nginx.address), Viewer(http, nginx.address, wait=20)
        with anyio.fail_after(TOO_LONG):
            async with anyio.create_task_group() as group:
                group.start_soon(streaming.ask, words(silence=32))
                group.start_soon(polling.ask, words(silence=32))

    for viewer in (streaming, polling):
        assert (viewer.text, viewer.errors) == (WORDS, [])
    assert streaming.tries == 1  # a comment every two seconds keeps nginx from timing out


async def test_a_viewer_cut_by_a_timeout_shorter_than_the_silence_resumes_after_the_cut(
    server: AppServer, http: httpx.AsyncClient
) -> None:
    sooner_than_a_heartbeat = {"proxy_read_timeout 30s;": "proxy_read_timeout 1s;"}
    with nginx_in_front_of(server.port, replacements=sooner_than_a_heartbeat) as nginx:
        viewer = Viewer(http, nginx.address)
        with anyio.fail_after(TOO_LONG):
            await viewer.ask(words(silence=4))

    assert (viewer.text, viewer.errors) == (WORDS, [])
    assert viewer.tries > 1


async def test_a_stream_passes_at_once_with_the_http_that_nginx_speaks_by_default(
    server: AppServer, http: httpx.AsyncClient
) -> None:
    with nginx_in_front_of(server.port, replacements={"proxy_http_version 1.1;": ""}) as nginx:
        viewer = Viewer(http, nginx.address)
        with anyio.fail_after(TOO_LONG):
            async with anyio.create_task_group() as group:
                group.start_soon(viewer.ask, words(silence=3))
                await viewer.reached(len(HALF))
                assert viewer.text == HALF  # the rest is still to come

    assert (viewer.text, viewer.errors, viewer.tries) == (WORDS, [], 1)


async def test_a_poll_passes_where_nginx_is_told_to_hold_streams_back(
    server: AppServer, http: httpx.AsyncClient
) -> None:
    holding_back = {
        "proxy_http_version 1.1;": "proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;"
    }
    with nginx_in_front_of(server.port, replacements=holding_back) as nginx:
        streaming, polling = Viewer(http, nginx.address), Viewer(http, nginx.address, wait=20)
        with anyio.fail_after(TOO_LONG):
            async with anyio.create_task_group() as group:
                group.start_soon(streaming.ask, words(silence=3))
                group.start_soon(polling.ask, words(silence=3))
                await polling.reached(len(HALF))
                assert streaming.text == ""  # nginx holds the text back

    for viewer in (streaming, polling):
        assert (viewer.text, viewer.errors) == (WORDS, [])
