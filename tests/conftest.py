"""Fixtures that all tiers of tests share."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from blockbuster import BlockBuster, blockbuster_ctx
from playwright.sync_api import Browser, sync_playwright

from tests.support.openai_server import OpenAIServer, openai_server_in_thread
from tests.support.programs import CHROMIUM, find
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer, running_redis

_TIERS = ("unit", "contract", "integration", "chaos", "interop", "e2e")
_CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick tiers first and the browser last: it leaves an event loop running."""
    ids = Counter(item.nodeid for item in items)
    if twice := [name for name, times in ids.items() if times > 1]:
        msg = f"tests of one name, of which only one would run: {', '.join(twice)}"
        raise pytest.UsageError(msg)
    items.sort(key=lambda item: next(i for i, tier in enumerate(_TIERS) if tier in item.path.parts))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop that Reflex, Docket and the servers run on."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail any test in which the application, or code it calls, blocks the event loop."""
    with blockbuster_ctx("chat_app") as active:
        for function in active.functions.values():
            # redis-py reads its own version from disk for each new connection. The log passes the
            # version in; Docket has no way to.
            function.can_block_in("redis/utils.py", "get_lib_version")
        yield active


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for the whole run; a test that breaks Redis starts its own."""
    # Not pytest's tmp_path: the path of a Unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        server = RedisServer(folder=Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty real Redis."""
    with redis.Redis.from_url(redis_server.socket_url) as client:
        client.flushall()
    return redis_server.socket_url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """One real Redis Cluster for the whole run; a test that breaks one starts its own."""
    with tempfile.TemporaryDirectory(prefix="cluster-", dir="/tmp") as folder:
        cluster = RedisCluster(folder=Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


@pytest.fixture
def redis_cluster_url(redis_cluster: RedisCluster) -> str:
    """An empty real Redis Cluster, as the address of one of its nodes."""
    redis_cluster.flush()
    return redis_cluster.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One real Chromium for the whole run: Playwright runs only once in a thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(CHROMIUM), args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def provider() -> Iterator[OpenAIServer]:
    """A model provider whose answers continue when the test says so."""
    with openai_server_in_thread() as server:
        yield server


@pytest.fixture
def model(provider: OpenAIServer) -> OpenAIServer:
    """The provider, without leftovers of earlier tests."""
    provider.reset()
    return provider
