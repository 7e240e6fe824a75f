"""Generations as Docket tasks: scheduled once, run somewhere, redelivered when their worker dies.

Docket (https://docket.lol) keeps its tasks in Redis, renews a lease while one runs, and hands it
to another worker when the lease runs out. The task's key is the stream's id, so scheduling twice
is scheduling once. A process that is told to end does not wait for leases to run out: it puts its
tasks back into the queue, and another worker has them within milliseconds. A process that has lost
the store, or whose store was emptied, carries on with the generations it has: see `lease`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from uuid import uuid4

from docket import Docket, TaskKey, Worker

from chat_app.errors import LogUnavailable
from chat_app.generation import heartbeat
from chat_app.generation.lease import Leases, QueuedGeneration, connection_listener
from chat_app.generation.producer import Producer
from chat_app.identity.identity import Identity, UserId
from chat_app.streams.model import StreamId
from chat_app.streams.outages import STORE_ERRORS

_logger = logging.getLogger(__name__)

_TASK = "generate"
_CANCEL_INTERVAL = 2.0  # seconds between two requests to end
_SAVE_INTERVALS = 3  # times that long for a generation, which may be saving what it has
_HANDOVER_TIMEOUT = 2.0  # seconds for the store to take a generation back
_CLOSE_DELAY = timedelta(seconds=2)
_RESTART_PAUSE = timedelta(seconds=1)
"""Between the end of a worker and its restart."""


class Generations:
    """Schedules generations, and runs those given to this process."""

    def __init__(
        self, docket: Docket, worker: Worker, producer: Producer, *, patience: timedelta
    ) -> None:
        self._docket = docket
        self._patience = patience.total_seconds()
        self._producer = producer
        self._running: dict[str, asyncio.Task[None]] = {}  # by key; cancelled by `leave`
        self._watching: dict[asyncio.Task[None], QueuedGeneration] = {}  # the worker's own tasks
        self._to_hand_over: list[QueuedGeneration] = []  # put back into the queue by `leave`
        self._leaving: asyncio.Task[None] | None = None  # awaited by `open_generations`
        self._connected = False  # whether the worker has reached the store
        self._leases = Leases(docket, task=_TASK, duration=worker.redelivery_timeout)
        docket.register(self._generate, names=[_TASK])
        worker.dependencies = {
            "connection": connection_listener(on_connected=self._attach, on_lost=self._detach)
        }
        self._working = asyncio.create_task(_work(worker), name="generations")

    def check_accepting(self) -> None:
        """Return if this process still takes work. Raises `LogUnavailable`."""
        if self._leaving is not None:
            raise LogUnavailable("the server is shutting down")

    async def schedule(
        self, identity: Identity, stream_id: StreamId, *, closed: bool = False
    ) -> None:
        """Have the reply of `stream_id` generated once, by this process or another.

        Args:
            identity: The owner of the chat.
            stream_id: The stream.
            closed: The stream's row is closed and at most its log is still open. A generation that
                is running then does not count: it can no longer finish, and would leave the log
                open. But whatever closed the row gets a moment to close the log as well.

        Raises:
            LogUnavailable: The store does not answer, and may or may not have the task; or this
                process is ending, and the task is not scheduled.
        """
        self.check_accepting()
        key = f"{stream_id}/close" if closed else stream_id
        when = datetime.now(UTC) + _CLOSE_DELAY if closed else None
        try:
            # Docket itself waits forever for a store that keeps its connections but is silent.
            async with asyncio.timeout(self._patience):
                await self._docket.add(_TASK, when=when, key=key)(identity.user_id, stream_id)
        except STORE_ERRORS as error:
            msg = f"the task queue does not answer ({type(error).__name__})"
            raise LogUnavailable(msg) from error

    async def _generate(self, user_id: str, stream_id: str, *, key: str = TaskKey()) -> None:
        """The worker's task: watches a generation, which may outlast it."""
        queued = QueuedGeneration(key=key, user_id=user_id, stream_id=stream_id)
        if key in self._running:
            # The lease ran out or was lost, but the generation is still running.
            self._hold(queued)
            return
        watching = asyncio.current_task()
        assert watching is not None  # noqa: S101 # Docket runs every task in an asyncio task
        generating = asyncio.create_task(self._produce(queued), name=f"generation {key}")
        generating.add_done_callback(partial(self._ended, queued))
        self._running[key] = generating
        self._watching[watching] = queued
        if self._leaving is not None:
            generating.cancel()  # the worker had just taken it from the queue
        elif not self._connected:
            self._detach()  # the connection was lost while it delivered this task
        try:
            await asyncio.shield(generating)
        finally:
            del self._watching[watching]

    async def _produce(self, queued: QueuedGeneration) -> None:
        await self._producer.produce(
            Identity(user_id=UserId(queued.user_id)),
            StreamId(queued.stream_id),
            on_store_loss=lambda: self._hold(queued),
        )

    def _ended(self, queued: QueuedGeneration, generating: "asyncio.Task[None]") -> None:
        del self._running[queued.key]
        self._leases.release(queued.key)
        if generating.cancelled():
            self._to_hand_over.append(queued)

    def _hold(self, queued: QueuedGeneration) -> None:
        if queued.key in self._running:  # otherwise it has ended since
            self._leases.hold(queued)

    def _attach(self) -> None:
        self._connected = True

    def _detach(self) -> None:
        """Let generations run on without the worker's connection, and let it make a new one."""
        self._connected = False
        for watching, queued in list(self._watching.items()):
            self._hold(queued)
            watching.cancel()

    def leave(self) -> "asyncio.Task[None]":
        """Take no more work, end what runs here and hand it over at once; idempotent.

        Other processes continue it. If there can be none, it is saved as interrupted.

        Returns:
            A task that ends when everything is handed over.
        """
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._hand_over(), name="handing over")
        return self._leaving

    async def _hand_over(self) -> None:
        # From here on the worker reads nothing from the queue.
        for number in count():
            # Repeatedly: a library may lose a cancellation that coincides with its own timeout.
            running = list(self._running.values())
            for ending in (self._working, *(running if number % _SAVE_INTERVALS == 0 else ())):
                ending.cancel()
            await asyncio.wait([self._working, *running], timeout=_CANCEL_INTERVAL)
            if self._working.done() and not self._running:
                break
        await self._leases.close()
        # Not earlier: this worker could be given what is put back.
        await asyncio.gather(*map(self._put_back, self._to_hand_over))
        if not self._working.cancelled():
            self._working.result()

    async def _put_back(self, queued: QueuedGeneration) -> None:
        again = self._docket.replace(_TASK, when=datetime.now(UTC), key=queued.key)
        try:
            async with asyncio.timeout(min(self._patience, _HANDOVER_TIMEOUT)):
                await again(queued.user_id, queued.stream_id)
        except STORE_ERRORS as error:
            # Another worker still gets it, once this worker's lease has run out.
            _logger.warning("stream %s not handed over: %r", queued.stream_id, error)


async def _work(worker: Worker) -> None:
    """Work until cancelled, even if the worker takes an outage for the end."""
    task = asyncio.current_task()
    while True:
        try:
            await worker.run_forever()
        except Exception:  # outermost frame of the task: if it ended, nothing would be generated
            _logger.exception("the worker ended; restarting it")
        if task is None or task.cancelling():
            return  # a cancelled worker shuts down in order and returns
        await asyncio.sleep(_RESTART_PAUSE.total_seconds())


@asynccontextmanager
async def open_generations(
    url: str,
    producer: Producer,
    *,
    name: str,
    concurrency: int,
    redelivery_timeout: timedelta,
    patience: timedelta,
) -> AsyncGenerator[Generations]:
    """Connect to the task queue at `url` and work on it until the end of the block.

    Args:
        url: Redis, or `memory://` for a queue of this process alone.
        producer: Does the work.
        name: The queue's name; processes that use the same name share the queue.
        concurrency: How many generations run here at once.
        redelivery_timeout: How long a worker may show no sign of life before another takes over.
        patience: The longest wait for an answer from the store.
    """
    if url.startswith("memory://"):
        url = f"memory://{uuid4().hex}"  # private to this application, even in a shared process
    async with (
        Docket(name=name, url=url, heartbeat_interval=timedelta(seconds=1)) as docket,
        Worker(
            docket,
            name=uuid4().hex,
            concurrency=concurrency,
            redelivery_timeout=redelivery_timeout,
            reconnection_delay=timedelta(seconds=1),
            minimum_check_interval=timedelta(milliseconds=100),
            schedule_automatic_tasks=False,
        ) as worker,
    ):
        generations = Generations(docket, worker, producer, patience=patience)
        watching = asyncio.create_task(
            heartbeat.watch(docket, worker, patience=patience), name="worker's heartbeat"
        )
        try:
            yield generations
        finally:
            await generations.leave()
            watching.cancel()
            await asyncio.wait([watching])
