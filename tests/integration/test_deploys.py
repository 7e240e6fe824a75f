"""Rolling restarts of two servers behind a load balancer, as viewers see them.

The test is short by default. Set `ROLLING_VIEWERS=50 ROLLING_RESTARTS=10` in the environment for
the long form, and pass `-s` to see the figures.
"""

import os
import statistics
import sys
import time
from pathlib import Path
from uuid import uuid4

import anyio
import httpx
import pytest

from tests.support.app_server import AppServer, running_together
from tests.support.load_balancer import LoadBalancer
from tests.support.redis_server import RedisServer
from tests.support.viewer import Viewer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

VIEWERS = int(os.environ.get("ROLLING_VIEWERS", "6"))
RESTARTS = int(os.environ.get("ROLLING_RESTARTS", "2"))
EXIT_LIMIT = 10
"""Seconds a server may take to end; it takes a few, the rest allows for a busy machine."""

_TOKENS, _RATE = 50 * RESTARTS, 10  # so that an answer lasts for most of the restarts


async def test_nobody_who_watches_an_answer_notices_a_rolling_restart(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = {
        "REDIS_URL": redis_server.url,
        "LOG_PREFIX": uuid4().hex,
        "MAX_OPEN_STREAMS": "0",
        "MAX_VIEWERS": "0",
        "MAX_PROMPTS_PER_MINUTE": "0",
        "MAX_REQUESTS_PER_MINUTE": "0",
    }
    servers = [AppServer(folder=tmp_path, settings=settings) for _ in range(2)]
    exits: list[float] = []
    over = anyio.Event()
    with running_together(*servers):
        async with (
            LoadBalancer(ports=[server.port for server in servers]) as balancer,
            httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as http,
        ):
            api = f"http://127.0.0.1:{balancer.port}"
            (await http.post(f"{api}/api/session")).raise_for_status()
            viewers: list[Viewer] = []

            async def watch_one_answer_after_the_other() -> None:
                while not over.is_set():
                    viewers.append(Viewer(http, api))
                    await viewers[-1].ask(f"/demo tokens={_TOKENS} rate={_RATE} words=1")

            async with anyio.create_task_group() as group:
                for _ in range(VIEWERS):
                    group.start_soon(watch_one_answer_after_the_other)
                for number in range(RESTARTS):
                    server = servers[number % 2]
                    with balancer.without(server.port):
                        exits.append(await anyio.to_thread.run_sync(timed_stop, server))
                        await anyio.to_thread.run_sync(server.start)
                over.set()

    tell(exits, viewers)
    assert [viewer.errors for viewer in viewers if viewer.errors] == []
    whole = "".join(f"w{number} " for number in range(1, _TOKENS + 1))
    assert all(viewer.text == whole for viewer in viewers)
    assert any(viewer.recoveries for viewer in viewers)
    assert max(exits) < EXIT_LIMIT


def timed_stop(server: AppServer) -> float:
    """Stop `server`; return how long that took, in seconds."""
    start = time.monotonic()
    server.stop()
    return time.monotonic() - start


def tell(exits: list[float], viewers: list[Viewer]) -> None:
    """Print the figures, for a run by hand."""
    recoveries = sorted(seconds for viewer in viewers for seconds in viewer.recoveries)
    hundredths = statistics.quantiles(recoveries, n=100, method="inclusive")
    sys.stdout.write(
        f"\n{VIEWERS} viewers, {len(viewers)} answers, {RESTARTS} restarts: {len(recoveries)} "
        f"connections broken off, the next event p50 {hundredths[49]:.2f} s, "
        f"p99 {hundredths[98]:.2f} s, max {recoveries[-1]:.2f} s later; "
        f"a server ends in at most {max(exits):.1f} s\n"
    )
