"""`createResumableFetch` behind a real nginx that mistreats streams."""

import pytest

from tests.interop.conftest import Visit
from tests.support.app_server import AppServer
from tests.support.nginx import nginx_in_front_of
from tests.support.openai_server import ROLE, Cue, OpenAIServer, Reply, ending, texts

HELD = Reply(body=(ROLE, *texts("First, "), Cue.HOLD, *texts("then."), *ending()))
SHORT_TIME_OUT = {"proxy_read_timeout 30s;": "proxy_read_timeout 1s;"}
"""Shorter than the heartbeat interval."""

HOLDING_BACK = {
    "proxy_http_version 1.1;": "proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;"
}
"""Makes nginx hold back even a response's headers until it has buffered some kilobytes."""


@pytest.mark.parametrize("servers", ["embedded"], indirect=True)
def test_cuts_by_a_short_time_out_are_invisible_to_the_sdk(
    servers: tuple[AppServer, AppServer], visit: Visit, model: OpenAIServer
) -> None:
    model.script(HELD)
    with nginx_in_front_of(servers[0].port, replacements=SHORT_TIME_OUT) as nginx:
        page = visit(nginx.address, resumable=True)
        page.send("Go on")
        page.reads("First, ")
        nginx.wait_for_log("upstream timed out")
        model.release()
        page.has_status("ready")

    assert page.texts == ["Go on", "First, then."]
    assert page.chunks.count("start") == 1


@pytest.mark.parametrize("servers", ["embedded"], indirect=True)
def test_a_stream_that_is_held_back_is_polled(
    servers: tuple[AppServer, AppServer], visit: Visit, model: OpenAIServer
) -> None:
    model.script(HELD)
    with nginx_in_front_of(servers[0].port, replacements=HOLDING_BACK) as nginx:
        page = visit(nginx.address, resumable=True)
        page.send("Go on")
        page.reads("First, ")  # comes by polling, after ten seconds without a first byte
        model.release()
        page.has_status("ready")

    assert page.texts == ["Go on", "First, then."]
    assert len(model.requests) == 1
