"""Generations as Docket tasks: scheduled once, run somewhere, redelivered when their worker dies.

Docket (https://docket.lol) keeps its tasks in Redis, renews a lease while one runs, and hands it
to another worker when the lease runs out. The task's key is the stream's id, so scheduling twice
is scheduling once. A process that is told to end does not wait for that: it puts what it ran back
into the queue, and the next worker has it within milliseconds. One that has lost the store, or
whose store was emptied, goes on with what it has: see `lease`.
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
from chat_app.generation.lease import Assigned, Leases, connection
from chat_app.generation.producer import Producer
from chat_app.identity.identity import Identity, UserId
from chat_app.streams.model import StreamId
from chat_app.streams.outages import STORE_ERRORS

_logger = logging.getLogger(__name__)

_TASK = "generate"
_PATIENCE = 2.0  # seconds from one request to end to the next, and for the store at the end
_SAVING = 3  # times as long for a generation, which may be saving what it has
_MOMENT = timedelta(seconds=2)
_RESTART = timedelta(seconds=1)
"""Until a worker that ended is started again."""


class Generations:
    """Schedules generations, and runs those that this process gets."""

    def __init__(
        self, docket: Docket, worker: Worker, producer: Producer, *, patience: timedelta
    ) -> None:
        self._docket = docket
        self._patience = patience.total_seconds()
        self._producer = producer
        self._running: dict[str, asyncio.Task[None]] = {}  # by key; cancelled by `leave`
        self._watching: dict[asyncio.Task[None], Assigned] = {}  # the worker's own tasks
        self._left: list[Assigned] = []  # put back into the queue by `leave`
        self._leaving: asyncio.Task[None] | None = None  # awaited by whoever opened this
        self._connected = False  # the worker is
        self._leases = Leases(docket, task=_TASK, lasting=worker.redelivery_timeout)
        docket.register(self._generate, names=[_TASK])
        worker.dependencies = {"connection": connection(made=self._attach, lost=self._detach)}
        self._working = asyncio.create_task(_work(worker), name="generations")

    def stays(self) -> None:
        """Return if this process takes work. Raises `LogUnavailable`."""
        if self._leaving is not None:
            raise LogUnavailable("the server goes away")

    async def schedule(
        self, identity: Identity, stream_id: StreamId, *, closed: bool = False
    ) -> None:
        """Have the reply of `stream_id` generated once, by this process or another.

        Args:
            identity: The owner of the chat.
            stream_id: The stream.
            closed: Its row is closed and only its log may be open still. Then a generation that
                runs does not count: it cannot finish any more, and would leave the log open. But
                whoever has closed the row has a moment to close the log, too.

        Raises:
            LogUnavailable: The store does not answer; whether the task is there is not known. Or
                this process ends; it is not there then.
        """
        self.stays()
        key = f"{stream_id}/close" if closed else stream_id
        when = datetime.now(UTC) + _MOMENT if closed else None
        try:
            # Docket itself waits for ever for a store that holds its connections and is silent.
            async with asyncio.timeout(self._patience):
                await self._docket.add(_TASK, when=when, key=key)(identity.user_id, stream_id)
        except STORE_ERRORS as error:
            msg = f"the task queue does not answer ({type(error).__name__})"
            raise LogUnavailable(msg) from error

    async def _generate(self, user_id: str, stream_id: str, *, key: str = TaskKey()) -> None:
        """The worker's task: watches over a generation, which may outlast it."""
        assigned = Assigned(key=key, user_id=user_id, stream_id=stream_id)
        if key in self._running:
            # The lease ran out, or it was lost, and the generation was not.
            self._hold(assigned)
            return
        watching = asyncio.current_task()
        assert watching is not None  # noqa: S101 # Docket runs every task in an asyncio task
        generating = asyncio.create_task(self._produce(assigned), name=f"generation {key}")
        generating.add_done_callback(partial(self._ended, assigned))
        self._running[key] = generating
        self._watching[watching] = assigned
        if self._leaving is not None:
            generating.cancel()  # the worker took it from the queue a moment before
        elif not self._connected:
            self._detach()  # the connection was lost while this came through it
        try:
            await asyncio.shield(generating)
        finally:
            del self._watching[watching]

    async def _produce(self, assigned: Assigned) -> None:
        await self._producer.produce(
            Identity(user_id=UserId(assigned.user_id)),
            StreamId(assigned.stream_id),
            on_store_loss=lambda: self._hold(assigned),
        )

    def _ended(self, assigned: Assigned, generating: "asyncio.Task[None]") -> None:
        del self._running[assigned.key]
        self._leases.release(assigned.key)
        if generating.cancelled():
            self._left.append(assigned)

    def _hold(self, assigned: Assigned) -> None:
        if assigned.key in self._running:  # else it has ended since
            self._leases.hold(assigned)

    def _attach(self) -> None:
        self._connected = True

    def _detach(self) -> None:
        """Go on with what runs while the worker has no connection, and let it make a new one."""
        self._connected = False
        for watching, assigned in list(self._watching.items()):
            self._hold(assigned)
            watching.cancel()

    def leave(self) -> "asyncio.Task[None]":
        """Take no more work, end what runs here and hand it over at once; idempotent.

        Others go on with it. Where there can be no others it is kept as interrupted.

        Returns:
            What ends when all is handed over.
        """
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._hand_over(), name="handing over")
        return self._leaving

    async def _hand_over(self) -> None:
        # From here on the worker reads nothing from the queue.
        for number in count():
            # More than once: a library may lose a cancellation that comes beside its own time-out.
            running = list(self._running.values())
            for ending in (self._working, *(running if number % _SAVING == 0 else ())):
                ending.cancel()
            await asyncio.wait([self._working, *running], timeout=_PATIENCE)
            if self._working.done() and not self._running:
                break
        await self._leases.close()
        # Not before: the worker itself could be given what is put back.
        await asyncio.gather(*map(self._put_back, self._left))
        if not self._working.cancelled():
            self._working.result()

    async def _put_back(self, left: Assigned) -> None:
        again = self._docket.replace(_TASK, when=datetime.now(UTC), key=left.key)
        try:
            async with asyncio.timeout(min(self._patience, _PATIENCE)):
                await again(left.user_id, left.stream_id)
        except STORE_ERRORS as error:
            # It is found all the same, when this worker's lease has run out.
            _logger.warning("stream %s not handed over: %r", left.stream_id, error)


async def _work(worker: Worker) -> None:
    """Work until cancelled, also if the worker takes an outage for the end."""
    task = asyncio.current_task()
    while True:
        try:
            await worker.run_forever()
        except Exception:  # outermost frame of the task: without it nothing would be generated here
            _logger.exception("the worker ended; starting it again")
        if task is None or task.cancelling():
            return  # the worker ends in good order, without an error
        await asyncio.sleep(_RESTART.total_seconds())


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
        name: Of the queue; processes with the same name share it.
        concurrency: How many generations run here at once.
        redelivery_timeout: After how long without a sign of life another worker takes over.
        patience: For one answer of the store when something is scheduled.
    """
    if url.startswith("memory://"):
        url = f"memory://{uuid4().hex}"  # of this application alone, even in a shared process
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
