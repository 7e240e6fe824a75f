"""Generations as Docket tasks: scheduled once, run somewhere, redelivered when their worker dies.

Docket (https://docket.lol) keeps its tasks in Redis, renews a lease while one runs, and hands it
to another worker when the lease runs out. The task's key is the stream's id, so scheduling twice
is scheduling once.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import uuid4

from docket import Docket, Worker

from chat_app.errors import LogUnavailable
from chat_app.generation.producer import Producer
from chat_app.identity.identity import Identity, UserId
from chat_app.streams.model import StreamId
from chat_app.streams.outages import STORE_ERRORS

_TASK = "generate"


class Generations:
    """Schedules generations, and runs those that this process gets."""

    def __init__(self, docket: Docket, producer: Producer, *, patience: timedelta) -> None:
        self._docket = docket
        self._patience = patience.total_seconds()
        self._producer = producer
        self._running: set[asyncio.Task[None]] = set()  # cancelled by `hand_over`
        docket.register(self._generate, names=[_TASK])

    async def schedule(
        self, identity: Identity, stream_id: StreamId, *, closed: bool = False
    ) -> None:
        """Have the reply of `stream_id` generated once, by this process or another.

        Args:
            identity: The owner of the chat.
            stream_id: The stream.
            closed: Its row is closed and only its log may be open still. Then a generation that
                runs does not count: it cannot finish any more, and would leave the log open.

        Raises:
            LogUnavailable: The store does not answer; whether the task is there is not known.
        """
        key = f"{stream_id}/close" if closed else stream_id
        try:
            # Docket itself waits for ever for a store that holds its connections and is silent.
            async with asyncio.timeout(self._patience):
                await self._docket.add(_TASK, key=key)(identity.user_id, stream_id)
        except STORE_ERRORS as error:
            msg = f"the task queue does not answer ({type(error).__name__})"
            raise LogUnavailable(msg) from error

    async def _generate(self, user_id: str, stream_id: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 # Docket runs every task in an asyncio task
        self._running.add(task)
        try:
            await self._producer.produce(Identity(user_id=UserId(user_id)), StreamId(stream_id))
        finally:
            self._running.discard(task)

    def hand_over(self) -> None:
        """End what runs here: others go on with it, or it is kept as interrupted."""
        for task in list(self._running):
            task.cancel()


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
        generations = Generations(docket, producer, patience=patience)
        working = asyncio.create_task(worker.run_forever(), name="generations")
        try:
            yield generations
        finally:
            # The worker takes no more tasks from here on, then waits for those it has.
            working.cancel()
            await asyncio.sleep(0)
            generations.hand_over()
            with suppress(asyncio.CancelledError):
                await working
