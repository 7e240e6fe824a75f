"""A stream as an HTTP response: bytes from the log straight to the socket."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chat_app.api.compression import gzipped
from chat_app.errors import LogUnavailable, RateLimited
from chat_app.identity.identity import Identity, UserId
from chat_app.streams import frame
from chat_app.streams.follower import Follower

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    # no-transform: a proxy that compresses an event stream holds it back.
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
    # What a page of another, allowed origin may read besides the body.
    "access-control-expose-headers": "x-stream-id, x-heartbeat",
}


_RETRY_AFTER = timedelta(seconds=1)


class BrokenOff(Exception):
    """Ends a response early, at shutdown or after its lifetime; its client comes back."""


class Viewers:
    """The responses in progress in this process.

    Args:
        max_per_user: How many one user may have; 0 for any number.
    """

    def __init__(self, *, max_per_user: int = 0) -> None:
        self._sending: set[asyncio.Future[None]] = set()
        self._leaving = False
        self._max_per_user = max_per_user
        self._slots = Counter[UserId]()  # requests that may have one of these responses, by user

    @contextmanager
    def slot(self, identity: Identity) -> Generator[None]:
        """Count a request until its response has ended.

        Raises:
            RateLimited: The user already has as many as are allowed.
        """
        user = identity.user_id
        if self._max_per_user and self._slots[user] >= self._max_per_user:
            msg = f"at most {self._max_per_user} connections at the same time"
            raise RateLimited(msg, retry_after=_RETRY_AFTER)
        self._slots[user] += 1
        try:
            yield
        finally:
            self._slots[user] -= 1
            if not self._slots[user]:
                del self._slots[user]

    def add(self, sending: "asyncio.Future[None]") -> None:
        """Keep track of a response until it ends; one that comes too late is broken off at once."""
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        if self._leaving:
            sending.cancel()

    def break_off(self) -> None:
        """Break off every response, without the chunk that would mark it as complete."""
        self._leaving = True
        for sending in list(self._sending):
            sending.cancel()


class EventStream(Response):
    """Follows one stream for one viewer until the stream closes or the viewer leaves.

    The body ends with `data: [DONE]` if and only if the stream is closed and all of it was sent.
    If the stream breaks, so does the connection: clients take a clean end for success.

    Args:
        follower: The viewer's position in the stream.
        heartbeat: The longest silence before a comment is sent.
        headers: Further headers.
        viewers: Breaks the response off when the server shuts down.
        lifetime: The connection is broken off after this long, between two events; None for never.
        gzip: Whether the viewer wants the body compressed.
    """

    def __init__(
        self,
        follower: Follower,
        *,
        heartbeat: timedelta,
        headers: Mapping[str, str],
        viewers: Viewers | None = None,
        lifetime: timedelta | None = None,
        gzip: bool = False,
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        del self.headers["content-length"]
        self._follower = follower
        self._heartbeat = heartbeat
        self._viewers = viewers or Viewers()
        self._lifetime = lifetime
        self._gzip = gzip
        self._started = False  # whether the status has been sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end; what is still unsent when the viewer leaves stays in the log.

        Raises:
            LogUnavailable: The server is shutting down, and the response had not begun.
        """
        try:
            await self._deliver(receive, gzipped(send) if self._gzip else send)
        except BrokenOff as error:
            if not self._started:
                raise LogUnavailable("the server is shutting down") from error
            # Returning with an incomplete body breaks the connection as an error would, but without
            # a trace in the server's log: a viewer that has to come back is not a problem.

    async def _deliver(self, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        self._viewers.add(sending)
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.cancelled():
                raise BrokenOff
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait({sending, leaving})

    async def _send(self, send: Send) -> None:
        self._started = True
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        follower = self._follower
        wire = _Wire(send, follower, heartbeat=self._heartbeat, lifetime=self._lifetime)
        while True:
            wire.check_age()
            if follower.live:
                await wire.follow()
            batch = await follower.next()
            if batch is None:
                break
            await send(_body(batch.data))
        await send(_body(frame.DONE))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Wire:
    """Sends events to one viewer that is up to date, with no task, timer or queue per event.

    What a flush has made durable is sent from within that flush. The server's `send` is stepped
    once, which is usually all it takes. If the server holds it back because the viewer is slow, the
    viewer's own task waits for it, and meanwhile the log keeps what follows.
    """

    def __init__(
        self, send: Send, follower: Follower, *, heartbeat: timedelta, lifetime: timedelta | None
    ) -> None:
        self._send = send
        self._follower = follower
        self._loop = asyncio.get_running_loop()
        self._interval = heartbeat.total_seconds() / 2
        self._until = math.inf if lifetime is None else self._loop.time() + lifetime.total_seconds()
        self._quiet = True  # nothing was sent since the last beat
        self._back: asyncio.Future[Awaitable[None] | None]  # set when the task is needed

    async def follow(self) -> None:
        """Send what comes until the viewer's task is needed: a slow viewer, a lag, or the end."""
        self._back = self._loop.create_future()
        timer = self._loop.call_later(self._interval, self._beat)
        self._timer = timer
        self._follower.listen(self._forward)
        try:
            held = await self._back
        finally:
            self._follower.dismiss(self._forward)
            self._timer.cancel()
        if held is not None:
            await held

    def _forward(self) -> None:
        """Take the next events and send them; called by the log at each change."""
        if self._back.done():
            return
        data = self._follower.take()
        if data:
            self._quiet = False
            self._step(data)
        if not self._follower.live and not self._back.done():
            self._back.set_result(None)

    def check_age(self) -> None:
        """Raise `BrokenOff` if the connection has reached its lifetime."""
        if self._loop.time() >= self._until:
            raise BrokenOff

    def _beat(self) -> None:
        if self._back.done():
            return
        if self._loop.time() >= self._until:
            self._back.set_exception(BrokenOff())
            return
        if self._quiet:
            self._step(frame.HEARTBEAT)
        self._quiet = True
        self._timer = self._loop.call_later(self._interval, self._beat)

    def _step(self, data: bytes) -> None:
        """Send without waiting, or leave the waiting to the viewer's task."""
        try:
            steps = iter(self._send(_body(data)).__await__())
            held = next(steps)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 # the server's: the viewer's task raises it
            self._back.set_exception(error)
        else:
            self._back.set_result(_Rest(held, steps))


class _Rest(Awaitable[None]):
    """The rest of an awaitable that was stepped once and yielded `held`."""

    def __init__(self, held: Any, steps: Any) -> None:
        self._slots = held
        self._steps = steps

    def __await__(self) -> Generator[Any, None, None]:
        yield self._slots
        yield from self._steps


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
