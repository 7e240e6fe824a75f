"""The synthetic source; peer/source.js is the same in JavaScript.

Paced deltas come from one timer per process, on an absolute schedule in whole milliseconds, so
that the source itself costs next to nothing on either side.
"""

import asyncio
import time
from collections.abc import Callable

from bench.stamps import brief_stamp, stamp
from chat_app.streams.appender import Appender

_TICK = 1000  # µs
_BREATH = 64  # deltas in a row before an unthrottled source gives the event loop a turn


def now() -> int:
    """CLOCK_MONOTONIC in microseconds."""
    return time.monotonic_ns() // 1000


class Ticker:
    """Emits what is due, for all streams of the process. `stop` it when the loop ends."""

    def __init__(self) -> None:
        self._due: dict[int, list[Callable[[], None]]] = {}  # by millisecond
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = 0
        self._running = False

    def add(self, emit: Callable[[], None], *, due: int) -> None:
        """Call `emit` once, at `due` µs."""
        tick = -(-due // _TICK)
        self._due.setdefault(tick, []).append(emit)
        if not self._running and (self._timer is None or tick < self._wakes):
            self._sleep()

    def stop(self) -> None:
        """Emit nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sleep(self) -> None:
        self.stop()
        self._timer = None
        if self._due:
            self._wakes = min(self._due)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._wakes * _TICK / 1e6, self._run)

    def _run(self) -> None:
        self._running = True
        present = now() // _TICK
        for tick in sorted(tick for tick in self._due if tick <= present):
            for emit in self._due.pop(tick):
                emit()
        self._running = False
        self._sleep()


class Source:
    """Writes a stream's worth of deltas.

    Args:
        count: How many.
        rate: Per second; 0 for as fast as the log takes them.
        seconds: An unthrottled source ends after this long; 0 for no limit.
        separate: Wait after each delta until it is in the log, so that none are merged.
        brief: Deltas of four characters, without the time at which they were due.
    """

    def __init__(
        self, *, count: int, rate: float, seconds: float, separate: bool, brief: bool
    ) -> None:
        self._count, self._rate, self._seconds = count, rate, seconds
        self._separate, self._brief = separate, brief
        self.produced = 0
        self.elapsed: int | None = None  # µs from the first delta until the log had the last
        self.go = asyncio.Event()
        self.end = asyncio.Event()

    async def write(self, appender: Appender, *, ticker: Ticker) -> None:
        """Append all deltas; return when they are durable and `end` is set."""
        await self.go.wait()
        begun = now()
        if self._rate:
            await self._paced(appender, begun=begun, ticker=ticker)
        else:
            await self._unthrottled(appender, begun=begun)
        await appender.flushed()
        self.elapsed = now() - begun
        await self.end.wait()

    async def _paced(self, appender: Appender, *, begun: int, ticker: Ticker) -> None:
        done = asyncio.Event()
        period = 1e6 / self._rate

        def emit() -> None:
            due = int(begun + self.produced * period)
            self._append(appender, due=due)
            if self.produced < self._count:
                ticker.add(emit, due=int(begun + self.produced * period))
            else:
                done.set()

        ticker.add(emit, due=begun)
        await done.wait()

    async def _unthrottled(self, appender: Appender, *, begun: int) -> None:
        limit = begun + self._seconds * 1e6 if self._seconds else float("inf")
        while self.produced < self._count:
            self._append(appender, due=now())
            if self._separate:
                await appender.flushed()
            elif self.produced % _BREATH == 0:
                await asyncio.sleep(0)
                if now() > limit:
                    return
            await appender.room()

    def _append(self, appender: Appender, *, due: int) -> None:
        self.produced += 1
        text = brief_stamp(self.produced) if self._brief else stamp(self.produced, due=due)
        appender.append_text(text, part_id="1")
