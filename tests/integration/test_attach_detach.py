"""A thousand viewers that come and go during an answer leave nothing behind.

They use real sockets, against two servers on one Redis, so that only half of the viewers are in the
producer's process, and against one server on the embedded engine. They attach anywhere in the
stream, read any part of it, and leave in every possible way.
"""

import asyncio
import gc
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
import psutil
import pytest
import redis.asyncio as redis

from chat_app.config import Settings
from chat_app.streams import frame
from tests.support.http_server import serving
from tests.support.in_process_api import Caller, in_process_api, prompt, visitor
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

VIEWERS = 1000
AT_ONCE = 50
POOLED = AT_ONCE  # pooled Redis connections that remain after all viewers used it at once
SEED = 20_261_121
TOO_LONG = 30
MUCH = "/demo tokens=100000 rate=200 words=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """A count of everything that a viewer might leave behind.

    Attributes:
        tasks: Tasks of the event loop that all servers run on, by what they do.
        sockets: Sockets of this process, with both ends of each connection.
        pushes: Channels that Redis pushes streams to.
        connections: Client connections, as counted by Redis.
    """

    tasks: Counter[str]
    channels: frozenset[bytes]
    pushes: frozenset[bytes]
    keys: frozenset[bytes]
    sockets: int
    connections: int

    def beyond(self, before: "Census") -> dict[str, Any]:
        """Return everything that exceeds `before`; empty if nothing does."""
        more: dict[str, Any] = {
            "tasks": self.tasks - before.tasks,
            "channels": self.channels - before.channels,
            "pushes": self.pushes - before.pushes,
            "keys": self.keys - before.keys,
            "sockets": max(0, self.sockets - before.sockets - POOLED),
            "connections": max(0, self.connections - before.connections - POOLED),
        }
        return {what: left for what, left in more.items() if left}


def work(task: asyncio.Task[Any]) -> str:
    """Return what a task does; empty for the tasks that the queue's loops keep recreating."""
    name: str = getattr(task.get_coro(), "__qualname__", "")
    return "" if name == "Event.wait" else name


class Servers:
    """Servers of one chat application, all in this process."""

    def __init__(self, ports: list[int], caller: Caller, store: redis.Redis | None) -> None:
        self.ports = ports
        self.caller = caller
        self._store = store

    async def census(self) -> Census:
        gc.collect()
        store = self._store
        clients: Any = await store.client_list() if store else []
        return Census(
            tasks=Counter(filter(None, map(work, asyncio.all_tasks()))),
            sockets=len(psutil.Process().net_connections(kind="tcp")),
            connections=len(clients),
            pushes=frozenset(await self._pushes(store) if store else ()),
            keys=frozenset(await store.keys() if store else ()),
            channels=frozenset(await store.pubsub_channels() if store else ()),
        )

    async def _pushes(self, store: Any) -> list[bytes]:
        states = [key async for key in store.scan_iter(match="*:state")]
        watched = [await store.hget(state, "watched") or b"" for state in states]
        return [channel for channels in watched for channel in channels.split()]

    async def back_to(self, before: Census, *kinds: str) -> Census:
        """Wait until there is no more of these kinds than `before`; return that census."""
        left: Any = None
        try:
            with anyio.fail_after(TOO_LONG):
                while (
                    left := set(kinds)
                    & (more := (now := await self.census()).beyond(before)).keys()
                ):
                    left = {kind: more[kind] for kind in left}
                    await self.caller.ask("GET", "/api/openapi.json")
                return now
        except TimeoutError:
            raise AssertionError(f"this is left: {left}") from None

    async def attach(self, random: Random, *, tail: int) -> None:
        """Be a viewer for a while, then leave."""
        reader, writer = await asyncio.open_connection("127.0.0.1", random.choice(self.ports))
        cursor = random.choice(["", f"&after={random.randint(0, tail)}"])
        request = f"GET /api/chat?chatId=holiday{cursor} HTTP/1.1\r\nhost: localhost\r\n"
        writer.write(f"{request}cookie: {self.caller.cookie}\r\n\r\n".encode())
        if random.random() < 0.9:
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            for _ in range(random.randint(0, 20)):
                await reader.read(random.randint(1, 2000))
        if random.random() < 0.3:
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await writer.wait_closed()


@pytest.fixture(params=["memory", "redis"])
async def servers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Servers]:
    database = f"sqlite:///{tmp_path / 'chat.db'}"
    async with AsyncExitStack() as stack:
        url, store, count = "memory://", None, 1
        if request.param == "redis":
            server: RedisServer = request.getfixturevalue("own_redis")
            url, count = server.url, 2
            store = await stack.enter_async_context(redis.Redis.from_url(url))
        settings = Settings(redis_url=url, database_url=database, max_requests_per_minute=0)
        apps = [await stack.enter_async_context(in_process_api(settings)) for _ in range(count)]
        ports = [await stack.enter_async_context(serving(app)) for app in apps]
        yield Servers(ports, await visitor(apps[0]), store)


async def test_a_thousand_viewers_come_and_go_and_nothing_is_left(servers: Servers) -> None:
    random = Random(SEED)
    asked = await servers.caller.ask("POST", "/api/chat?wait=5", prompt(MUCH))
    tail = frame.offset_of(frame.split(asked.body)[-1])
    empty = await servers.census()
    await attach(servers, random, tail=tail, viewers=AT_ONCE)  # creates what is created only once
    before = await servers.back_to(empty, "tasks", "channels", "pushes")

    await attach(servers, random, tail=tail, viewers=VIEWERS)

    kinds = ("tasks", "channels", "pushes", "keys", "sockets", "connections")
    await servers.back_to(before, *kinds)


async def attach(servers: Servers, random: Random, *, tail: int, viewers: int) -> None:
    for _ in range(viewers // AT_ONCE):
        async with asyncio.TaskGroup() as crowd:
            for _ in range(AT_ONCE):
                crowd.create_task(servers.attach(random, tail=tail))
