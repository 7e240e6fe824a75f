"""The write side: all producers of this process, one flush at a time.

Events that arrive during a flush are taken by the next one, in which neighbouring text deltas of a
stream become one event. An idle writer adds no delay. A busy one sends fewer, larger commands: the
longer a flush and its delivery take, the longer the pause before the next, up to 40 ms. Nobody
notices that pause, and the deltas that arrive during it become one event. The speed of the store is
the back-pressure.
"""

import asyncio
import logging
import weakref
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import islice
from typing import Any

from chat_app.errors import ChatNotFound, LogUnavailable
from chat_app.streams.appender import Appender
from chat_app.streams.engine import Engine

_logger = logging.getLogger(__name__)

_STREAMS_PER_FLUSH = 512
# Seconds from the start of one flush to the start of the next; the first after a pause never waits.
# Within these bounds the gap is long enough for flushes to take at most this share of the time.
_SHORTEST_GAP, _LONGEST_GAP, _SHARE = 0.003, 0.04, 1 / 20
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 1.0  # seconds


class Writer:
    """Flushes what the producers of this process append. `run` is its one task."""

    def __init__(
        self,
        engine: Engine,
        *,
        log_ttl: timedelta,
        open_ttl: timedelta,
        pulse: timedelta,
        on_fenced: Callable[[Appender], Coroutine[Any, Any, None]],
    ) -> None:
        self._engine = engine
        self._pulse = pulse.total_seconds()
        self._on_fenced = on_fenced
        self._lifetimes = (_ms(open_ttl), _ms(log_ttl))
        self._dirty: dict[Appender, None] = {}  # an ordered set
        self._work = asyncio.Event()  # set while something is dirty
        self._open: weakref.WeakSet[Appender] = weakref.WeakSet()  # each held by its producer
        self._last_flush = 0.0  # when the last flush began, by the loop's clock
        self._gap = _SHORTEST_GAP  # seconds from then to the next one
        self._checking: set[Appender] = set()  # their stream is lost; who may restore it?
        self._helpers: set[asyncio.Task[None]] = set()  # cancelled by `run`

    def add(self, appender: Appender) -> None:
        """Flush for `appender` from now on, as long as its producer holds it."""
        self._open.add(appender)

    def wake(self, appender: Appender) -> None:
        """Include `appender` in one of the next flushes."""
        if appender not in self._dirty and appender not in self._checking:
            self._dirty[appender] = None
            self._work.set()

    async def run(self) -> None:
        """Flush until cancelled; what the store does not answer is sent again until it does."""
        pulse = asyncio.create_task(self._beat(), name="stream pulse")
        try:
            await self._run()
        finally:
            tasks = [pulse, *self._helpers]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _beat(self) -> None:
        """Flush streams whose model is silent every now and then.

        An empty flush finds out whether the store has lost the stream, whether a stop was requested
        whose message got lost, and whether another producer has taken over.
        """
        while True:
            await asyncio.sleep(self._pulse)
            for appender in list(self._open):
                if appender.was_idle():
                    self.wake(appender)

    async def _run(self) -> None:
        delay = _FIRST_RETRY
        while True:
            batch = await self._next_batch()
            try:
                await self._flush(batch)
                delay = _FIRST_RETRY
                continue
            except LogUnavailable as error:
                if delay == _FIRST_RETRY:
                    _logger.warning("%s; retrying until it does", error)
                    for appender in list(self._open):
                        appender.outage.set()
            except Exception:  # outermost frame of the task: without it every stream would hang
                _logger.exception("a flush failed; retrying")
            for appender in batch:
                self.wake(appender)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY)

    async def _next_batch(self) -> list[Appender]:
        await self._work.wait()
        clock = asyncio.get_running_loop().time
        if (wait := self._last_flush + self._gap - clock()) > 0:
            await asyncio.sleep(wait)
        self._last_flush = clock()
        batch = list(islice(self._dirty, _STREAMS_PER_FLUSH))
        for appender in batch:
            del self._dirty[appender]
        if not self._dirty:
            self._work.clear()
        return batch

    async def _flush(self, batch: list[Appender]) -> None:
        requests = [(appender.keys, appender.next_request()) for appender in batch]
        replies = await self._engine.append(self._lifetimes, requests)
        for appender, status in zip(batch, replies, strict=True):
            appender.on_reply(status)
            if status == b"fenced":
                self._spawn(self._on_fenced(appender))
            elif status == b"lost" and appender not in self._checking:
                self._checking.add(appender)
                self._spawn(self._check_owner(appender))
        taken = asyncio.get_running_loop().time() - self._last_flush
        self._gap = min(max(_SHORTEST_GAP, taken / _SHARE), _LONGEST_GAP)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in its own task: no flush may wait for a single stream."""
        task = asyncio.create_task(work, name="stream helper")
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    async def _check_owner(self, appender: Appender) -> None:
        """Restore the stream that the store has lost if this producer still owns it, else give up.

        The store has forgotten the owner, and a producer that was frozen while another took over
        must not be the first to restore the stream.
        """
        while True:
            try:
                owner = await appender.still_owner()
                break
            except ChatNotFound as error:  # nobody owns it: the stream's chat is gone
                _logger.info("giving up stream %s: %s", appender.stream_id, error)
                owner = False
                break
            except Exception:  # outermost frame of its task; without an answer nothing is written
                _logger.exception("cannot tell who owns stream %s", appender.stream_id)
                await asyncio.sleep(_LONGEST_RETRY)
        self._checking.discard(appender)
        if owner:
            appender.restore()
        else:
            appender.fence()
            await self._on_fenced(appender)


def _ms(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))
