"""What other processes have to say: one connection for the events of all their streams.

Each process has a channel, and a stream knows the channels of those that watch it. The append
script publishes the frames of watched streams in the same step that stores them: one message a
flush and process, whatever the number of streams. Pushes may be lost (a cut connection, a full
buffer); the log may not. So a push only counts if its offsets follow what is known, and any hole
is filled from the log.
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
    """A stream that somebody in this process looks at and somebody elsewhere writes."""

    __slots__ = ("heard", "keys", "missing", "tail")

    def __init__(self, keys: Keys, tail: Tail) -> None:
        self.keys = keys
        self.tail = weakref.ref(tail)  # only viewers keep a tail alive
        self.heard = time.monotonic()  # last push
        self.missing = 0.0  # since when the store does not know it; 0 while it does

    def fed(self) -> Tail | None:
        """The tail, if it needs to be fed: held by somebody, open, and not produced here."""
        tail = self.tail()
        if tail is None or tail.keep_all or tail.outcome is not None or tail.lost:
            return None
        return tail


class Feed:
    """Keeps the tails of streams from elsewhere up to date. `run` is its one task.

    Attributes:
        home: The channel every process listens to: ids of streams that shall stop.
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
        self.home = f"{prefix}:feed"
        self._channel = f"{prefix}:feed:{uuid4().hex}"
        self._timeout = timeout.total_seconds()
        self._patience = 3 * self._timeout  # with a stream that the store has lost
        self._pulse = pulse.total_seconds()  # of silence, before the log is asked what was lost
        self._watched: dict[str, _Watched] = {}  # by the key of the state
        self._subscription: Subscription | None = None

    async def follow(self, *, keys: Keys, tail: Tail) -> None:
        """Keep `tail` up to date until it closes or nobody holds it any more."""
        known = self._watched.get(keys.state)
        if known is not None and known.tail() is tail:
            return
        watched = self._watched[keys.state] = _Watched(keys, tail)
        with suppress(LogUnavailable):  # the next beat tries again
            await self._catch_up(watched)

    async def release(self, keys: Keys) -> None:
        """This process produces the stream itself now: have nothing pushed to it."""
        watched = self._watched.get(keys.state)
        if watched is not None:
            with suppress(LogUnavailable):  # the next beat tries again
                await self._leave(watched)

    async def run(self) -> None:
        """Receive until cancelled, over as many connections as it takes."""
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
                    await subscription.add(self.home, self._channel)
                    self._subscription, away = subscription, False
                    while True:
                        await self._take(*await subscription.next())
            except LogUnavailable as error:
                if not away:
                    _logger.warning("%s; trying until it does", error)
                away = True
            except Exception:  # outermost frame of the task: without it no viewer would go on
                _logger.exception("receiving failed; trying again")
            finally:
                self._subscription = None
            await asyncio.sleep(_RETRY)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._pulse)
            try:
                await self._check()
            except LogUnavailable:
                pass  # the receiving task tells of it
            except Exception:  # outermost frame of the task
                _logger.exception("looking after streams failed; trying again")

    async def _take(self, channel: str, push: bytes | None) -> None:
        if channel == self._channel:
            if push is None:  # subscribed from here on
                await self._look_after(list(self._watched.values()))
            else:
                await self._look_after(list(self._extended(push)))
        elif push is not None:
            self._on_stop(StreamId(push.decode()))

    def _extended(self, push: bytes) -> Iterator[_Watched]:
        """Take what `append.lua` published; yields each stream that has a hole now."""
        now = time.monotonic()
        pieces = iter(frame.split(push))
        for head in pieces:
            key, last, count, outcome = head.decode().removesuffix("\n\n").split(" ")
            frames = list(islice(pieces, int(count)))
            watched = self._watched.get(key)
            tail = watched and watched.fed()
            if not watched or tail is None:
                continue
            watched.heard = now
            end = Outcome.parse(outcome) if outcome else None
            if not tail.extend(frames, last=int(last), outcome=end):
                yield watched

    async def _look_after(self, streams: Iterable[_Watched]) -> None:
        for watched in streams:
            await self._catch_up(watched)

    async def _catch_up(self, watched: _Watched) -> None:
        """Read from the log what no push has brought, and have pushes sent from here on."""
        args = ["watch", self._channel]
        known, end, outcome, _ = await self._engine.run("watch", keys=watched.keys, args=args)
        tail = watched.fed()
        if tail is None:
            return
        if not known:
            # Between a restart of the store and its producer's next append; or for good.
            watched.missing = watched.missing or time.monotonic()
            if time.monotonic() - watched.missing > self._patience:
                tail.lose()
            return
        watched.missing = 0.0
        if end - tail.end > _PAGE:
            tail.skip(to=end)  # the viewers read the log at their own pace
        while (start := tail.end) < end:
            frames = await self._engine.frames(watched.keys.log, after=start, limit=_PAGE)
            if not frames or tail.keep_all:
                return
            tail.extend(frames, last=start + len(frames))
        if outcome:
            tail.extend([], last=end, outcome=Outcome.parse(outcome.decode()))

    async def _check(self) -> None:
        """Drop what nobody needs, look after streams that have been silent, and the connection."""
        now = time.monotonic()
        subscription = self._subscription
        if subscription is not None:
            if now - subscription.heard > self._pulse + self._timeout:
                _logger.warning("no word from the store; connecting anew")
                await subscription.aclose()
                return
            await subscription.ping()
        for key, watched in list(self._watched.items()):
            if self._watched.get(key) is not watched:
                continue  # another viewer came while this one looked after other streams
            if watched.fed() is None:
                await self._leave(watched)
            elif now - watched.heard > self._pulse:
                await self._catch_up(watched)

    async def _leave(self, watched: _Watched) -> None:
        """Have no more of a stream pushed, unless somebody came for it meanwhile."""
        keys = watched.keys
        await self._engine.run("watch", keys=keys, args=["leave", self._channel])
        current = self._watched.get(keys.state)
        if current is watched and watched.fed() is None:
            del self._watched[keys.state]
        elif current is not None:
            await self._catch_up(current)
