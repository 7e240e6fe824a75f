"""Our side: the durable log and its SSE response, with nothing of the application around them.

    POST /s/<id>?n=&rate=      produce a stream here and answer with it; `detached` answers 202,
                               `hold` waits for /go, `linger` stays open until /end
    GET  /s/<id>?after=        follow a stream; `compact` merges the backlog
    POST /go/<id> /end/<id>
    GET  /stats/<id>           how many deltas were produced, and how long it took

Granian serves it with one worker, as under Reflex.
"""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import parse_qsl

from granian.constants import Interfaces
from granian.server import Server
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bench.lifeline import end_with_parent
from bench.source import Source, Ticker
from chat_app.api.sse import EventStream
from chat_app.bootstrap import tune_gc
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.streams.model import Outcome, StreamId

_HEARTBEAT = timedelta(seconds=15)


class LogServer:
    """The ASGI application."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._log: StreamLog
        self._ticker = Ticker()
        self._sources: dict[str, Source] = {}
        # The set keeps the tasks alive until their streams end; the lifespan cancels the rest.
        self._producers: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the lifespan or one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        response = await self._route(scope)
        await response(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        end_with_parent()
        async with AsyncExitStack() as stack:
            await receive()
            self._log = await stack.enter_async_context(open_log(self._redis_url, LogOptions()))
            tune_gc()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._ticker.stop()
            for task in self._producers:
                task.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _route(self, scope: Scope) -> Response:
        _, verb, stream_id = scope["path"].split("/")
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        if verb == "s" and scope["method"] == "POST":
            return await self._produce(StreamId(stream_id), query)
        if verb == "s":
            return await self._follow(StreamId(stream_id), query)
        if verb == "up":
            return Response(status_code=204)
        source = self._sources[stream_id]
        if verb == "stats":
            stats = {"produced": source.produced, "elapsed_us": source.elapsed}
            return Response(json.dumps(stats), media_type="application/json")
        (source.go if verb == "go" else source.end).set()
        return Response(status_code=204)

    async def _produce(self, stream_id: StreamId, query: dict[str, str]) -> Response:
        source = Source(
            count=int(query.get("n", "1")),
            rate=float(query.get("rate", "0")),
            seconds=float(query.get("seconds", "0")),
            separate="separate" in query,
            brief="brief" in query,
        )
        if "hold" not in query:
            source.go.set()
        if "linger" not in query:
            source.end.set()
        self._sources[stream_id] = source
        appender = await self._log.open(stream_id, token=1)

        async def write() -> None:
            await source.write(appender, ticker=self._ticker)
            await appender.close(Outcome(kind="completed"))

        task = asyncio.create_task(write(), name=f"producer {stream_id}")
        self._producers.add(task)
        task.add_done_callback(self._producers.discard)
        if "detached" in query:
            return Response(status_code=202)
        return await self._follow(stream_id, {})

    async def _follow(self, stream_id: StreamId, query: dict[str, str]) -> Response:
        follower = await self._log.follow(
            stream_id, after=int(query.get("after", "0")), compact="compact" in query
        )
        return EventStream(follower, heartbeat=_HEARTBEAT, headers={})


def application() -> LogServer:
    """Build the application; Granian calls this in its worker."""
    return LogServer(os.environ["REDIS_URL"])


if __name__ == "__main__":
    Server(
        "bench.server:application",
        factory=True,
        address="127.0.0.1",
        port=int(os.environ["PORT"]),
        interface=Interfaces.ASGI,
        workers=1,
        log_access=False,
        backlog=2048,
    ).serve()
