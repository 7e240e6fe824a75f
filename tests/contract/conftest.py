"""One suite that runs on every engine."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from chat_app.streams.engine import open_engine
from chat_app.streams.log import LogOptions, StreamLog, serve_log
from chat_app.streams.model import StreamId

OPTIONS = LogOptions(timeout=timedelta(seconds=2))


class Processes:
    """The logs of two server processes that share one store.

    The embedded engine has only one process, so there both are the same log.
    """

    def __init__(self, here: StreamLog, elsewhere: StreamLog) -> None:
        self.here = here
        self.elsewhere = elsewhere


@asynccontextmanager
async def _processes(url: str) -> AsyncIterator[Processes]:
    async with AsyncExitStack() as stack:

        async def process() -> StreamLog:
            engine = await stack.enter_async_context(open_engine(url, patience=OPTIONS.timeout))
            return await stack.enter_async_context(serve_log(engine, OPTIONS))

        here = await process()
        yield Processes(here, here if url == "memory://" else await process())


@pytest.fixture(params=["memory", "redis", "cluster"])
async def processes(request: pytest.FixtureRequest) -> AsyncIterator[Processes]:
    """Two processes that share an empty store, on each engine."""
    match request.param:
        case "memory":
            url = "memory://"
        case "redis":
            url = request.getfixturevalue("redis_url")
        case _:
            url = request.getfixturevalue("redis_cluster_url").replace("://", "+cluster://")
    opened: AbstractAsyncContextManager[Processes] = _processes(url)
    async with opened as both:
        yield both


@pytest.fixture
def log(processes: Processes) -> StreamLog:
    """A log on an empty store."""
    return processes.here


@pytest.fixture
def stream_id() -> StreamId:
    """The id of an unused stream."""
    return StreamId(uuid4().hex)
