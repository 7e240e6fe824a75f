"""Generations that the queue has lost sight of, kept by this process while it lives."""

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

_AT_ONCE = 100  # put off in one piece; between two of them other work goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A generation as it is in the queue."""

    key: str
    user_id: str
    stream_id: str


class Leases:
    """Leases of our own, in place of those that the worker has lost.

    The queue keeps what a worker does until that is done, and gives it to another when the worker
    dies. A queue that was emptied with its store has forgotten it, and a worker that has lost its
    connection renews nothing. Such a generation goes on; here it is scheduled for a moment from
    now, and put off again and again: to become due, and another's, when this process dies. It may
    become due once more after its end, when whoever claims its stream finds that closed.

    Args:
        docket: The queue.
        task: What does a generation, by its name there.
        lasting: How long after the last sign of life it is given to another.
    """

    def __init__(self, docket: Docket, *, task: str, lasting: timedelta) -> None:
        self._docket = docket
        self._task = task
        self._lasting = lasting
        self._held: dict[str, Assigned] = {}
        self._added = asyncio.Event()  # set when one is held that the queue has not been told of
        self._renewing: asyncio.Task[None] | None = None  # while any is held; ended by `close`

    def hold(self, assigned: Assigned) -> None:
        """Keep a generation from others until it is released, or this process dies."""
        self._held[assigned.key] = assigned
        self._added.set()
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="leases")

    def release(self, key: str) -> None:
        """Keep it no more, if it was kept: it has ended, or goes back into the queue."""
        self._held.pop(key, None)

    async def close(self) -> None:
        """Keep none any more."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def _renew(self) -> None:
        pause = self._lasting.total_seconds() / 4  # as often as a worker does
        while self._held:
            self._added.clear()
            due = datetime.now(UTC) + self._lasting
            calls = [
                self._docket.call(self._task, when=due, key=held.key)(held.user_id, held.stream_id)
                for held in self._held.values()
            ]
            try:
                async with asyncio.timeout(2 * pause):
                    await self._docket.replace_many(calls, chunk_size=_AT_ONCE)
            except STORE_ERRORS as error:  # it is told when it is back
                _logger.info("%s generations are not in the queue: %r", len(calls), error)
            except Exception:  # outermost frame of the task: without it nothing would be renewed
                _logger.exception("%s generations could not be put off", len(calls))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._added.wait()


def connection(*, made: Callable[[], None], lost: Callable[[], None]) -> Dependency[None]:
    """What a worker has to be given to tell when it has reached the store, and lost it, or ends.

    It waits for all it does then, for as long as that takes, before it connects again.
    """

    class Connection(Dependency[None]):
        @classmethod
        @asynccontextmanager
        async def worker_lifecycle(cls, _docket: Docket, _worker: Worker) -> AsyncGenerator[None]:
            made()
            try:
                yield
            finally:
                lost()

        async def __aenter__(self) -> None:
            """Nothing is needed for a task."""

        async def __aexit__(self, *_exc_info: Any) -> None:
            """Nothing was taken."""

    return Connection()
