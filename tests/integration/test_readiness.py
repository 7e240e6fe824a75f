"""Whether a server would accept a prompt now, for callers that have none yet."""

from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from chat_app.bootstrap import services
from chat_app.config import Settings
from tests.support.in_process_api import TOO_LONG, Caller, in_process_api
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

READY = "/api/ready"


async def test_a_server_is_ready_while_its_store_answers(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    settings = Settings(redis_url=own_redis.url, database_url=f"sqlite:///{tmp_path / 'chat.db'}")
    async with in_process_api(settings) as app:
        anybody = Caller(app)
        before = await anybody.ask("GET", READY)
        await run_sync(own_redis.stop)
        during = await anybody.ask("GET", READY)
        await run_sync(own_redis.start)
        with anyio.fail_after(TOO_LONG):
            while (after := await anybody.ask("GET", READY)).status != 204:
                pass

    assert (before.status, before.body) == (204, b"")
    assert (during.status, during.json()["code"]) == (503, "log_unavailable")
    assert during.headers["retry-after"] == "1"
    assert after.body == b""


async def test_a_server_that_shuts_down_is_not_ready(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")
    async with in_process_api(settings) as app:
        await services().generations.leave()
        told = await Caller(app).ask("GET", READY)

    assert (told.status, told.json()["code"]) == (503, "log_unavailable")
