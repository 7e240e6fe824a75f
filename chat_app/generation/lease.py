"""Leases on generations that the queue has lost track of, held while this process lives."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from docket import Docket, Worker
from docket.dependencies import Dependency

from chat_app.streams.outages import STORE_ERRORS

_logger = logging.getLogger(__name__)

_BATCH_SIZE = 100  # postponed per batch; other work runs between two batches


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedGeneration:
    """A generation, as the queue knows it."""

    key: str
    user_id: str
    stream_id: str


class Leases:
    """Our own leases, in place of those that the worker has lost.

    The queue keeps a worker's task until it is done and redelivers it if the worker dies. But a
    queue that was emptied with its store has forgotten the task, and a worker that has lost its
    connection renews nothing. The generation carries on; its task is scheduled here for a moment
    from now and postponed again and again, so it falls due, for another worker, if this process
    dies. It may also fall due once after the generation has ended; its claim then finds the stream
    closed.

    Args:
        docket: The queue.
        task: The name of the task that runs a generation.
        duration: How long after this process's last sign of life another one takes over.
    """

    def __init__(self, docket: Docket, *, task: str, duration: timedelta) -> None:
        self._docket = docket
        self._task = task
        self._duration = duration
        self._held: dict[str, QueuedGeneration] = {}
        self._added = asyncio.Event()  # set when one is held that is not in the queue yet
        self._renewing: asyncio.Task[None] | None = None  # while any is held; ended by `close`

    def hold(self, generation: QueuedGeneration) -> None:
        """Keep other workers off a generation until it is released or this process dies."""
        self._held[generation.key] = generation
        self._added.set()
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="leases")

    def release(self, key: str) -> None:
        """Drop the lease, if there is one: the generation has ended or goes back into the queue."""
        self._held.pop(key, None)

    async def close(self) -> None:
        """Stop renewing."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def _renew(self) -> None:
        pause = self._duration.total_seconds() / 4  # as often as a worker renews its own
        while self._held:
            self._added.clear()
            due = datetime.now(UTC) + self._duration
            calls = [
                self._docket.call(self._task, when=due, key=held.key)(held.user_id, held.stream_id)
                for held in self._held.values()
            ]
            try:
                async with asyncio.timeout(2 * pause):
                    await self._docket.replace_many(calls, chunk_size=_BATCH_SIZE)
            except STORE_ERRORS as error:  # the queue gets them when it is back
                _logger.info(
                    "%s leases not renewed, the queue does not answer: %r", len(calls), error
                )
            except Exception:  # outermost frame of the task: if it ended, nothing would be renewed
                _logger.exception("%s leases could not be renewed", len(calls))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._added.wait()


def connection_listener(
    *, on_connected: Callable[[], None], on_lost: Callable[[], None]
) -> Dependency[None]:
    """A worker's dependency: reports when it is connected, and when it is cut off or ends.

    A worker that is cut off waits for all its tasks, however long they take, before it reconnects.
    """

    class Connection(Dependency[None]):
        @classmethod
        @asynccontextmanager
        async def worker_lifecycle(cls, _docket: Docket, _worker: Worker) -> AsyncGenerator[None]:
            on_connected()
            try:
                yield
            finally:
                on_lost()

        async def __aenter__(self) -> None:
            """Provide nothing: tasks need nothing from it."""

        async def __aexit__(self, *_exc_info: Any) -> None:
            """Release nothing."""

    return Connection()
