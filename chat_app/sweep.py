"""Every accepted prompt ends: what nobody works on is found and picked up, or closed."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from chat_app.chats.housekeeping import Housekeeping
from chat_app.errors import LogUnavailable
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId

_logger = logging.getLogger(__name__)

_INTERVAL = timedelta(seconds=5)
_PATIENCE = 4
"""Checkpoints a generation may miss before it is scheduled again, and as often before it ends."""


class Sweep:
    """Looks after open streams without a sign of life.

    The task queue redelivers what a dead worker leaves. This is for what the queue itself has
    lost: a store that restarted empty, a process that died between its database and its queue.

    Args:
        housekeeping: The database across users.
        generations: Where a generation is scheduled; scheduling one that runs changes nothing.
        checkpoint_interval: How often a living generation shows itself.
    """

    def __init__(
        self,
        housekeeping: Housekeeping,
        generations: Generations,
        *,
        checkpoint_interval: timedelta,
    ) -> None:
        self._housekeeping = housekeeping
        self._generations = generations
        self._patience = _PATIENCE * checkpoint_interval

    async def close_all(self) -> None:
        """Close every open stream as interrupted: their log and their producer are gone."""
        for stream in await self._housekeeping.open_streams(idle_since=datetime.now(UTC)):
            await self._housekeeping.close_stream(stream.stream_id)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self._sweep()
            except LogUnavailable as error:
                _logger.warning("sweep: %s", error)
            except Exception:  # outermost frame of its task; the next round may succeed
                _logger.exception("sweep failed")
            await asyncio.sleep(_INTERVAL.total_seconds())

    async def _sweep(self) -> None:
        now = datetime.now(UTC)
        for stream in await self._housekeeping.open_streams(idle_since=now - self._patience):
            last_sign = stream.checkpointed_at or stream.created_at
            if last_sign < now - 2 * self._patience:
                # Nobody took it up. Closed here, so that its producer, if one comes, only has to
                # close the log.
                _logger.warning("stream %s interrupted: nobody works on it", stream.stream_id)
                await self._housekeeping.close_stream(
                    stream.stream_id, idle_since=now - self._patience
                )
            identity = Identity(user_id=stream.user_id)
            await self._generations.schedule(identity, StreamId(stream.stream_id))
