"""The synthetic source; peer/source.js is its JavaScript twin.

One timer per process emits the paced deltas, on an absolute schedule in whole milliseconds, so
that the source costs next to nothing on either side.
"""

import asyncio
import time
from collections.abc import Callable

from bench.stamps import brief_stamp, due_mark, stamp
from chat_app.streams.appender import Appender

_TICK = 1000  # µs
_YIELD_EVERY = 64  # deltas in a row before an unthrottled source gives the event loop a turn


def now() -> int:
    """Return CLOCK_MONOTONIC in microseconds."""
    return time.monotonic_ns() // 1000


class Ticker:
    """Emits the deltas that are due, for all streams of the process. Call `stop` at the end.

    The deltas of a stream are a whole number of milliseconds apart, so the stream keeps its slot
    in a wheel that turns once in that time: emitting a delta needs no bookkeeping.
    """

    def __init__(self) -> None:
        self._wheels: dict[int, list[set[Callable[[str], bool]]]] = {}  # by period in ticks
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the next tick to run

    def add(self, emit: Callable[[str], bool], *, period: int) -> None:
        """Call `emit` every `period` µs with the mark of its due time, until it returns False."""
        ticks = period // _TICK
        wheel = self._wheels.setdefault(ticks, [set() for _ in range(ticks)])
        tick = now() // _TICK + 1
        wheel[tick % ticks].add(emit)
        if self._timer is None or tick < self._next:
            self.stop()
            self._next = tick
            self._sleep()

    def stop(self) -> None:
        """Stop emitting."""
        if self._timer is not None:
            self._timer.cancel()

    def _sleep(self) -> None:
        """Set the timer for the next tick that has something due."""
        occupied = [
            next(
                (tick for tick in range(self._next, self._next + ticks) if wheel[tick % ticks]),
                None,
            )
            for ticks, wheel in self._wheels.items()
        ]
        self._next = min((tick for tick in occupied if tick is not None), default=0)
        self._timer = None
        if self._next:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._next * _TICK / 1e6, self._run)

    def _run(self) -> None:
        present = now() // _TICK
        for tick in range(self._next, present + 1):
            mark = due_mark(tick * _TICK)
            for ticks, wheel in self._wheels.items():
                slot = wheel[tick % ticks]
                ended = [emit for emit in slot if not emit(mark)]
                slot.difference_update(ended)
        self._next = max(present + 1, self._next)
        self._sleep()


class Source:
    """Writes the deltas of one stream.

    Args:
        count: How many deltas to write.
        rate: Deltas per second; 0 for as fast as the log accepts them.
        seconds: When to end an unthrottled source; 0 for no limit.
        separate: Whether each delta stays an event of its own instead of merging in a flush.
        brief: Whether deltas have only four characters, without their due time.
    """

    def __init__(
        self, *, count: int, rate: float, seconds: float, separate: bool, brief: bool
    ) -> None:
        self._count, self._rate, self._seconds = count, rate, seconds
        self._separate, self._brief = separate, brief
        self.produced = 0
        self.elapsed: int | None = None  # µs from the start until the last delta is durable
        self.go = asyncio.Event()
        self.end = asyncio.Event()

    async def write(self, appender: Appender, *, ticker: Ticker) -> None:
        """Append all deltas; return once they are durable and `end` is set."""
        await self.go.wait()
        begun = now()
        if self._rate:
            await self._paced(appender, ticker=ticker)
        else:
            await self._unthrottled(appender, begun=begun)
        await appender.wait_flushed()
        self.elapsed = now() - begun
        await self.end.wait()

    async def _paced(self, appender: Appender, *, ticker: Ticker) -> None:
        done = asyncio.Event()

        append_text, count = appender.append_text, self._count

        def emit(mark: str) -> bool:
            self.produced = number = self.produced + 1
            append_text(stamp(number, mark=mark), part_id="1")
            if number < count:
                return True
            done.set()
            return False

        ticker.add(emit, period=int(1e6 / self._rate))
        await done.wait()

    async def _unthrottled(self, appender: Appender, *, begun: int) -> None:
        limit = begun + self._seconds * 1e6 if self._seconds else float("inf")
        while self.produced < self._count:
            self.produced += 1
            text = (
                brief_stamp(self.produced)
                if self._brief
                else stamp(self.produced, mark=due_mark(now()))
            )
            if self._separate:
                appender.append({"type": "text-delta", "id": "1", "delta": text})
            else:
                appender.append_text(text, part_id="1")
            if self.produced % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
                if now() > limit:
                    return
            await appender.wait_for_room()
