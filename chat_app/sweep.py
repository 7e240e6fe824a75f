"""Every accepted prompt ends: a stream that nobody works on is rescheduled or closed."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic as _monotonic

from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import OpenStream
from chat_app.errors import LogUnavailable
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

_logger = logging.getLogger(__name__)

_INTERVAL = timedelta(seconds=5)
_MISSED_CHECKPOINTS = 4
"""Checkpoints a generation may miss before it is rescheduled, and again before it is ended."""
_RESOLUTION = timedelta(microseconds=1)  # the resolution of the database's times


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scheduled:
    """A stream that was scheduled because nobody seemed to work on it.

    Attributes:
        since: When it was first scheduled, by the monotonic clock.
        last_sign: Its newest sign of life at that time; a different one makes it a new case.
    """

    since: float
    last_sign: datetime


class Sweep:
    """Reschedules open streams that show no sign of life, and closes those that still show none.

    The task queue redelivers what a dead worker leaves. The sweep is for what the queue itself has
    lost: the store restarted empty, or a process died between writing to database and queue.

    A stream is interrupted only if this process has scheduled it and has then waited in vain, by a
    monotonic clock. After a clock change, or a pause of the machine or the database, a live
    generation looks idle too, and must not be ended for that.

    Args:
        housekeeping: The database across users.
        generations: Schedules generations; scheduling one that runs changes nothing.
        checkpoint_interval: How often a live generation shows a sign of life.
        interval: The time between two rounds.
        clock: The current time, as in the database.
        monotonic: Seconds on a clock that never jumps.
    """

    def __init__(
        self,
        housekeeping: Housekeeping,
        generations: Generations,
        *,
        checkpoint_interval: timedelta,
        interval: timedelta = _INTERVAL,
        clock: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = _monotonic,
    ) -> None:
        self._housekeeping = housekeeping
        self._generations = generations
        self._idle_limit = _MISSED_CHECKPOINTS * checkpoint_interval
        self._interval = interval.total_seconds()
        self._clock = clock
        self._monotonic = monotonic
        self._scheduled: dict[StreamId, _Scheduled] = {}  # idle in the last round
        self._closed: dict[StreamId, Identity] = {}  # rows whose log is still to be scheduled

    async def close_all(self) -> None:
        """Close every open stream as interrupted; only for when all logs and producers are gone."""
        for stream in await self._housekeeping.open_streams(idle_since=self._clock()):
            await self._housekeeping.close_stream(stream.stream_id)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.once()
            except LogUnavailable as error:
                _logger.warning("sweep: %s", error)
            except Exception:  # outermost frame of its task; the next round may succeed
                _logger.exception("sweep failed")
            await asyncio.sleep(self._interval)

    async def once(self) -> None:
        """Run one round: schedule what has missed its checkpoints, close what still misses them.

        If the queue does not answer, the round closes nothing.

        Raises:
            LogUnavailable: The task queue does not answer.
        """
        given_up = await self._schedule_idle()
        for stream in given_up:
            await self._interrupt(stream)
        for stream_id, identity in list(self._closed.items()):
            await self._generations.schedule(identity, stream_id, closed=True)
            del self._closed[stream_id]

    async def _schedule_idle(self) -> list[OpenStream]:
        """Schedule every idle stream; return those that were scheduled before, in vain."""
        # A round that fails forgets them all: whatever was down, every stream gets its time again.
        before, self._scheduled = self._scheduled, {}
        seen: dict[StreamId, _Scheduled] = {}
        given_up: list[OpenStream] = []
        idle_since = self._clock() - self._idle_limit
        for stream in await self._housekeeping.open_streams(idle_since=idle_since):
            identity = Identity(user_id=stream.user_id)
            await self._generations.schedule(identity, stream.stream_id)
            now = _Scheduled(since=self._monotonic(), last_sign=_last_sign(stream))
            first = before.get(stream.stream_id, now)
            if first.last_sign != now.last_sign:
                first = now
            elif now.since - first.since >= self._idle_limit.total_seconds():
                given_up.append(stream)
            seen[stream.stream_id] = first
        self._scheduled = seen
        return given_up

    async def _interrupt(self, stream: OpenStream) -> None:
        """Close the row of a stream nobody took up; a producer then has only the log to close."""
        idle_since = _last_sign(stream) + _RESOLUTION
        if await self._housekeeping.close_stream(stream.stream_id, idle_since=idle_since):
            _logger.warning("stream %s interrupted: no producer", stream.stream_id)
            self._closed[stream.stream_id] = Identity(user_id=stream.user_id)


def _last_sign(stream: OpenStream) -> datetime:
    return stream.checkpointed_at or stream.created_at
