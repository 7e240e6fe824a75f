"""The read side: events that other processes write, received over one connection.

Each process has a channel, and a stream knows the channels of the processes that watch it. The
append script publishes the frames of watched streams in the same step that stores them; all streams
of a call with the same watchers share one message. Pushes may be lost (a cut connection, a full
buffer); the log may not. So a push counts only if its offsets follow on from what is known, and any
gap is filled from the log.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from uuid import uuid4

from chat_app.errors import LogUnavailable
from chat_app.streams import frame
from chat_app.streams.engine import Engine
from chat_app.streams.keys import Keys
from chat_app.streams.model import Outcome, StreamId
from chat_app.streams.subscription import Subscription
from chat_app.streams.tail import Tail

_logger = logging.getLogger(__name__)

_PAGE = 500
_RETRY = 0.2  # seconds between attempts to reach the store


class _Watched:
    """A stream with viewers in this process and a producer in another."""

    __slots__ = ("keys", "missing_since", "pushed_at", "tail")

    def __init__(self, keys: Keys, tail: Tail) -> None:
        self.keys = keys
        self.tail = weakref.ref(tail)  # only viewers keep a tail alive
        self.pushed_at = time.monotonic()  # last push
        self.missing_since = 0.0  # since when the store has not known it; 0 while it does

    def tail_to_feed(self) -> Tail | None:
        """Return the tail if it needs feeding: still held, open, and not produced here."""
        tail = self.tail()
        if tail is None or tail.keep_all or tail.outcome is not None or tail.lost:
            return None
        return tail


class Feed:
    """Keeps the tails of streams from other processes up to date. `run` is its one task.

    Attributes:
        stop_channel: Carries the ids of streams to stop; every process listens to it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        prefix: str,
        timeout: timedelta,
        pulse: timedelta,
        on_stop: Callable[[StreamId], None],
    ) -> None:
        self._engine = engine
        self._on_stop = on_stop
        self.stop_channel = f"{prefix}:feed"
        self._channel = f"{prefix}:feed:{uuid4().hex}"
        self._timeout = timeout.total_seconds()
        self._patience = 3 * self._timeout  # seconds until a lost stream is given up
        self._pulse = pulse.total_seconds()  # seconds of silence before the log is read
        self._watched: dict[str, _Watched] = {}  # by state key
        self._subscription: Subscription | None = None

    async def follow(self, *, keys: Keys, tail: Tail) -> None:
        """Keep `tail` up to date until the stream closes or nobody holds the tail any more."""
        known = self._watched.get(keys.state)
        if known is not None and known.tail() is tail:
            return
        watched = self._watched[keys.state] = _Watched(keys, tail)
        with suppress(LogUnavailable):  # the next beat tries again
            await self._catch_up(watched)

    async def release(self, keys: Keys) -> None:
        """Stop the pushes of a stream that this process now produces itself."""
        watched = self._watched.get(keys.state)
        if watched is not None:
            with suppress(LogUnavailable):  # the next beat tries again
                await self._leave(watched)

    async def run(self) -> None:
        """Receive until cancelled, reconnecting as often as it takes."""
        beating = asyncio.create_task(self._beat(), name="stream feed pulse")
        try:
            await self._run()
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def _run(self) -> None:
        away = False
        while True:
            try:
                async with self._engine.subscription() as subscription:
                    await subscription.add(self.stop_channel, self._channel)
                    self._subscription, away = subscription, False
                    while True:
                        await self._take(*await subscription.next())
            except LogUnavailable as error:
                if not away:
                    _logger.warning("%s; retrying until it does", error)
                away = True
            except Exception:  # outermost frame of the task: without it every viewer would hang
                _logger.exception("receiving failed; retrying")
            finally:
                self._subscription = None
            await asyncio.sleep(_RETRY)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._pulse)
            try:
                await self._check()
            except LogUnavailable:
                pass  # the receiving task logs it
            except Exception:  # outermost frame of the task
                _logger.exception("checking streams failed; retrying")

    async def _take(self, channel: str, push: bytes | None) -> None:
        if channel == self._channel:
            if push is None:  # subscribed from here on
                await self._catch_up_all(list(self._watched.values()))
            else:
                await self._catch_up_all(list(self._apply(push)))
        elif push is not None:
            self._on_stop(StreamId(push.decode()))

    def _apply(self, push: bytes) -> Iterator[_Watched]:
        """Take in what `append.lua` published, and yield each stream that now has a gap."""
        now = time.monotonic()
        pieces = iter(frame.split(push))
        for head in pieces:
            key, last, count, outcome = head.decode().removesuffix("\n\n").split(" ")
            frames = list(islice(pieces, int(count)))
            watched = self._watched.get(key)
            tail = watched and watched.tail_to_feed()
            if not watched or tail is None:
                continue
            watched.pushed_at = now
            end = Outcome.parse(outcome) if outcome else None
            if not tail.extend(frames, last=int(last), outcome=end):
                yield watched

    async def _catch_up_all(self, streams: Iterable[_Watched]) -> None:
        for watched in streams:
            await self._catch_up(watched)

    async def _catch_up(self, watched: _Watched) -> None:
        """Start the pushes of a stream, and read from the log what they have not brought."""
        args = ["watch", self._channel]
        known, end, outcome, _ = await self._engine.run("watch", keys=watched.keys, args=args)
        tail = watched.tail_to_feed()
        if tail is None:
            return
        if not known:
            # The store has restarted, and its producer may restore it; or it is gone for good.
            watched.missing_since = watched.missing_since or time.monotonic()
            if time.monotonic() - watched.missing_since > self._patience:
                tail.lose()
            return
        watched.missing_since = 0.0
        if end - tail.end > _PAGE:
            tail.skip(to=end)  # viewers read the log at their own pace
        while (start := tail.end) < end:
            frames = await self._engine.frames(watched.keys.log, after=start, limit=_PAGE)
            if not frames or tail.keep_all:
                return
            tail.extend(frames, last=start + len(frames))
        if outcome:
            tail.extend([], last=end, outcome=Outcome.parse(outcome.decode()))

    async def _check(self) -> None:
        """Check the connection, drop streams that nobody needs, catch up with silent ones."""
        now = time.monotonic()
        subscription = self._subscription
        if subscription is not None:
            if now - subscription.heard_at > self._pulse + self._timeout:
                _logger.warning("the store is silent; reconnecting")
                await subscription.aclose()
                return
            await subscription.ping()
        for key, watched in list(self._watched.items()):
            if self._watched.get(key) is not watched:
                continue  # another viewer came while other streams were checked
            if watched.tail_to_feed() is None:
                await self._leave(watched)
            elif now - watched.pushed_at > self._pulse:
                await self._catch_up(watched)

    async def _leave(self, watched: _Watched) -> None:
        """Stop the pushes of a stream, unless it has a new viewer by then."""
        keys = watched.keys
        await self._engine.run("watch", keys=keys, args=["leave", self._channel])
        current = self._watched.get(keys.state)
        if current is watched and watched.tail_to_feed() is None:
            del self._watched[keys.state]
        elif current is not None:
            await self._catch_up(current)
