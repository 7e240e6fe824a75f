"""A compressed event stream has the same bytes, and each as soon as an uncompressed one."""

import gzip
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from starlette.types import ASGIApp

from chat_app.config import Settings
from tests.support.asgi import request
from tests.support.in_process_api import TOO_LONG, Caller, in_process_api, visitor
from tests.support.server_process import text_of

pytestmark = pytest.mark.anyio

PATH = "/api/chat?chatId=holiday&after=0"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[ASGIApp]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")
    async with in_process_api(settings) as app:
        yield app


@pytest.fixture
async def caller(app: ASGIApp) -> Caller:
    return await visitor(app)


async def test_a_compressed_stream_is_the_same_in_less_than_half_the_bytes(caller: Caller) -> None:
    await caller.send("/demo tokens=400 rate=0 words=1")

    plain = await caller.ask("GET", PATH)
    compressed = await caller.ask("GET", f"{PATH}&gzip=true")

    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(compressed.body) == plain.body
    assert 2 * len(compressed.body) < len(plain.body)


async def test_a_compressed_event_can_be_read_as_soon_as_it_is_written(caller: Caller) -> None:
    await caller.send("/demo tokens=3 rate=0 words=1 pause=600@2", wait=0)
    headers = {"cookie": caller.cookie}
    decompressor, data = zlib.decompressobj(31), b""

    async with request(caller.app, f"{PATH}&gzip=true", method="GET", headers=headers) as exchange:
        with anyio.fail_after(TOO_LONG):
            await exchange.start()
            while "w2 " not in text_of(data):
                message = await exchange.next()
                assert message is not None
                data += decompressor.decompress(message["body"])
    await caller.ask("POST", "/api/chat/holiday/stop")

    assert text_of(data) == "w1 w2 "
