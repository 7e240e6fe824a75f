"""Every accepted prompt ends: what nobody works on is found and picked up, or closed."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import StreamId as StoredStreamId
from chat_app.errors import LogUnavailable
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

_logger = logging.getLogger(__name__)

_INTERVAL = timedelta(seconds=5)
_PATIENCE = 4
"""Checkpoints a generation may miss before it is scheduled again, and as often before it ends."""


def _now() -> datetime:
    return datetime.now(UTC)


class Sweep:
    """Looks after open streams without a sign of life.

    The task queue redelivers what a dead worker leaves. This is for what the queue itself has
    lost: a store that restarted empty, a process that died between its database and its queue.

    Args:
        housekeeping: The database across users.
        generations: Where a generation is scheduled; scheduling one that runs changes nothing.
        checkpoint_interval: How often a living generation shows itself.
        interval: Between two rounds.
        clock: What time it is.
    """

    def __init__(
        self,
        housekeeping: Housekeeping,
        generations: Generations,
        *,
        checkpoint_interval: timedelta,
        interval: timedelta = _INTERVAL,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._housekeeping = housekeeping
        self._generations = generations
        self._patience = _PATIENCE * checkpoint_interval
        self._interval = interval.total_seconds()
        self._clock = clock

    async def close_all(self) -> None:
        """Close every open stream as interrupted: their log and their producer are gone."""
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
        """One round: schedule what has missed its checkpoints, close what went on missing them.

        Raises:
            LogUnavailable: The task queue does not answer.
        """
        now = self._clock()
        for stream in await self._housekeeping.open_streams(idle_since=now - self._patience):
            last_sign = stream.checkpointed_at or stream.created_at
            closed = last_sign < now - 2 * self._patience and await self._interrupt(
                stream.stream_id, idle_since=now - self._patience
            )
            identity = Identity(user_id=stream.user_id)
            await self._generations.schedule(identity, StreamId(stream.stream_id), closed=closed)

    async def _interrupt(self, stream_id: StoredStreamId, *, idle_since: datetime) -> bool:
        """Close the row of a stream nobody took up; its producer then only has to close the log."""
        closed = await self._housekeeping.close_stream(stream_id, idle_since=idle_since)
        if closed:
            _logger.warning("stream %s interrupted: nobody works on it", stream_id)
        return closed
