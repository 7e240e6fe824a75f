"""Every accepted prompt ends, whatever the task queue has lost."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import OpenStream
from chat_app.chats.streams import StreamRepository
from chat_app.errors import LogUnavailable
from chat_app.generation.llm import Finish
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams.model import Outcome, StreamId
from chat_app.sweep import Sweep
from tests.support.redis_server import RedisServer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import TOO_LONG, ServerProcess, server_process, text_of

pytestmark = pytest.mark.anyio

CHECKPOINT = timedelta(seconds=3)
MISSED = 4 * CHECKPOINT + timedelta(seconds=1)
"""Longer than a generation may go without a checkpoint before it is scheduled again."""
JUMP = timedelta(days=1)


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def model() -> ScriptedLLM:
    return ScriptedLLM()


@dataclass(slots=True)
class Clock:
    """A clock that the test can advance.

    Attributes:
        ahead: How far the wall clock is ahead of real time.
        passed: How far the monotonic clock is ahead of real time.
    """

    ahead: timedelta = timedelta(0)
    passed: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.passed.total_seconds()

    def wait(self) -> None:
        """Let enough time pass for a generation to have missed its checkpoints."""
        self.ahead += MISSED
        self.passed += MISSED


@pytest.fixture
def clock() -> Clock:
    return Clock()


class LosesGenerations(Generations):
    """A task queue that loses every generation, except those that only close a log.

    Attributes:
        away: Whether the queue is unreachable.
        away_after: After how many more calls the queue becomes unreachable.
    """

    def __init__(self, queue: Generations) -> None:
        self._queue = queue
        self.away = False
        self.away_after: int | None = None

    async def schedule(
        self, identity: Identity, stream_id: StreamId, *, closed: bool = False
    ) -> None:
        if self.away or self.away_after == 0:
            raise LogUnavailable("gone")
        if self.away_after is not None:
            self.away_after -= 1
        if closed:
            await self._queue.schedule(identity, stream_id, closed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A process at work that sweeps when the test tells it to."""

    here: ServerProcess
    generations: Generations
    sweep: Sweep
    queue: LosesGenerations
    sweep_in_vain: Sweep
    """A sweep whose generations are lost."""


@pytest.fixture
async def app(
    store_url: str, database: Database, model: ScriptedLLM, clock: Clock
) -> AsyncGenerator[App]:
    async with (
        server_process(store_url, database, model) as here,
        here.working() as generations,
    ):
        queue = LosesGenerations(generations)
        sweep, sweep_in_vain = (
            Sweep(
                Housekeeping(database),
                scheduling,
                checkpoint_interval=CHECKPOINT,
                clock=clock,
                monotonic=clock.monotonic,
            )
            for scheduling in (generations, queue)
        )
        yield App(
            here=here,
            generations=generations,
            sweep=sweep,
            queue=queue,
            sweep_in_vain=sweep_in_vain,
        )


async def test_a_turn_the_queue_never_got_is_answered(
    app: App, model: ScriptedLLM, clock: Clock, alice: Identity
) -> None:
    stream_id = await app.here.ask(alice)
    clock.ahead = MISSED
    model.say("To the sea.", Finish())

    await app.sweep.once()

    assert text_of(await app.here.everything(stream_id)) == "To the sea."
    assert (await app.here.chat(alice)).messages[-1].status == "complete"


async def test_a_turn_just_accepted_is_left_alone(
    app: App, model: ScriptedLLM, clock: Clock, alice: Identity
) -> None:
    await app.here.ask(alice)
    clock.ahead = 4 * CHECKPOINT - timedelta(seconds=1)

    await app.sweep.once()

    assert (await app.here.chat(alice)).open_stream is not None
    assert model.prompts == []


async def test_a_generation_under_way_is_not_begun_a_second_time(
    app: App, model: ScriptedLLM, clock: Clock, alice: Identity
) -> None:
    stream_id = await app.here.ask(alice)
    await app.generations.schedule(alice, stream_id)
    model.say("To the ")
    await app.here.watch(stream_id, text="To the ")
    clock.ahead = MISSED

    await app.sweep.once()

    model.say("sea.", Finish())
    assert text_of(await app.here.everything(stream_id)) == "To the sea."
    assert len(model.prompts) == 1


async def test_a_turn_that_no_producer_claims_is_closed_with_its_saved_text(
    app: App, model: ScriptedLLM, clock: Clock, alice: Identity
) -> None:
    stream_id = await app.here.ask(alice)
    streams = StreamRepository(app.here.database)
    stored_id = stream_id
    token = (await streams.claim(alice, stored_id)).fencing_token
    await streams.checkpoint(alice, stored_id, fencing_token=token, text="To the ", tail=0)
    clock.wait()
    await app.sweep_in_vain.once()
    assert (await app.here.chat(alice)).open_stream is not None
    clock.wait()

    await app.sweep_in_vain.once()

    await app.here.everything(stream_id)
    chat = await app.here.chat(alice)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To the ", "interrupted")
    assert chat.open_stream is None
    assert (await app.here.log.state(stream_id)).outcome == Outcome(kind="interrupted")
    assert model.prompts == []


async def test_a_producer_wrongly_given_up_leaves_no_log_open(
    app: App, model: ScriptedLLM, clock: Clock, alice: Identity
) -> None:
    stream_id = await app.here.ask(alice)
    await app.generations.schedule(alice, stream_id)
    model.say("To the ")
    await app.here.watch(stream_id, text="To the ")
    clock.wait()
    await app.sweep.once()
    clock.wait()

    await app.sweep.once()

    await app.here.everything(stream_id)
    assert (await app.here.log.state(stream_id)).outcome == Outcome(kind="interrupted")
    assert (await app.here.chat(alice)).open_stream is None


async def test_a_jump_of_the_clock_interrupts_nothing(
    app: App, model: ScriptedLLM, clock: Clock, alice: Identity
) -> None:
    stream_id = await app.here.ask(alice)
    await app.generations.schedule(alice, stream_id)
    model.say("To the ")
    await app.here.watch(stream_id, text="To the ")
    clock.ahead = JUMP

    for _ in range(3):
        await app.sweep.once()

    assert (await app.here.chat(alice)).open_stream is not None
    model.say("sea.", Finish())
    assert text_of(await app.here.everything(stream_id)) == "To the sea."
    reply = (await app.here.chat(alice)).messages[-1]
    assert (reply.text, reply.status) == ("To the sea.", "complete")


async def test_a_sign_of_life_after_it_was_scheduled_keeps_a_stream_open(
    app: App, clock: Clock, alice: Identity
) -> None:
    stream_id = StreamId(await app.here.ask(alice))
    streams = StreamRepository(app.here.database)
    token = (await streams.claim(alice, stream_id)).fencing_token
    clock.ahead = JUMP

    for text in ("To ", "To the ", "To the sea"):
        await app.sweep_in_vain.once()
        await streams.checkpoint(alice, stream_id, fencing_token=token, text=text, tail=0)
        clock.wait()
    await app.sweep_in_vain.once()

    assert (await app.here.chat(alice)).open_stream is not None


async def test_nothing_is_closed_while_the_queue_is_away_and_every_wait_starts_over(
    app: App, clock: Clock, alice: Identity
) -> None:
    await app.here.ask(alice)
    clock.wait()
    await app.sweep_in_vain.once()
    clock.wait()
    app.queue.away = True
    with pytest.raises(LogUnavailable):
        await app.sweep_in_vain.once()
    app.queue.away = False

    await app.sweep_in_vain.once()

    assert (await app.here.chat(alice)).open_stream is not None
    clock.wait()
    await app.sweep_in_vain.once()
    assert (await app.here.chat(alice)).open_stream is None


async def test_the_log_of_a_stream_given_up_is_closed_when_the_queue_is_back(
    app: App, clock: Clock, alice: Identity
) -> None:
    stream_id = await app.here.ask(alice)
    clock.wait()
    await app.sweep_in_vain.once()
    clock.wait()
    app.queue.away_after = 1
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await app.sweep_in_vain.once()
    assert (await app.here.chat(alice)).open_stream is None
    assert (await app.here.log.state(stream_id)).outcome is None

    app.queue.away_after = None
    await app.sweep_in_vain.once()

    await app.here.everything(stream_id)
    assert (await app.here.log.state(stream_id)).outcome == Outcome(kind="interrupted")


async def test_a_stream_that_a_process_left_behind_is_closed_as_interrupted(
    app: App, alice: Identity
) -> None:
    await app.here.ask(alice)

    await app.sweep.close_all()

    chat = await app.here.chat(alice)
    assert chat.newest_stream is not None
    assert chat.newest_stream.outcome == "interrupted"


class TakenUpMeanwhile(Housekeeping):
    """A database in which a producer claims each idle stream right after it was found.

    Attributes:
        takes_up: Whether streams are claimed yet.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.takes_up = False
        self._streams = StreamRepository(database)

    async def open_streams(self, *, idle_since: datetime) -> list[OpenStream]:
        found = await super().open_streams(idle_since=idle_since)
        for stream in found if self.takes_up else ():
            await self._streams.claim(Identity(user_id=stream.user_id), stream.stream_id)
        return found


async def test_a_stream_taken_up_at_the_last_moment_is_not_closed(
    app: App, clock: Clock, alice: Identity
) -> None:
    await app.here.ask(alice)
    housekeeping = TakenUpMeanwhile(app.here.database)
    sweep = Sweep(
        housekeeping,
        app.queue,
        checkpoint_interval=CHECKPOINT,
        clock=clock,
        monotonic=clock.monotonic,
    )
    clock.wait()
    await sweep.once()
    clock.wait()
    housekeeping.takes_up = True

    await sweep.once()

    assert (await app.here.chat(alice)).open_stream is not None


class Fails(Housekeeping):
    """A database that fails at first.

    Attributes:
        failures: How many more times it fails.
        worked: Set when it has worked.
    """

    def __init__(self, database: Database, *, failures: int) -> None:
        super().__init__(database)
        self.failures = failures
        self.worked = asyncio.Event()

    async def open_streams(self, *, idle_since: datetime) -> list[OpenStream]:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.worked.set()
        return await super().open_streams(idle_since=idle_since)


async def test_a_failed_round_is_logged_and_the_next_one_follows(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    housekeeping = Fails(app.here.database, failures=2)
    sweep = Sweep(
        housekeeping,
        app.generations,
        checkpoint_interval=CHECKPOINT,
        interval=timedelta(milliseconds=1),
    )
    sweeping = asyncio.create_task(sweep.run())

    with anyio.fail_after(TOO_LONG):
        await housekeeping.worked.wait()

    sweeping.cancel()
    await asyncio.wait([sweeping])
    told = [record.exc_info and record.exc_info[0] for record in caplog.records if record.exc_info]
    assert told == [OSError, OSError]
    assert sweeping.cancelled()


async def test_a_sweep_goes_on_when_the_queue_is_back(
    own_redis: RedisServer,
    database: Database,
    model: ScriptedLLM,
    clock: Clock,
    alice: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_process(own_redis.url, database, model) as here, here.working() as working:
        sweep = Sweep(
            Housekeeping(database),
            working,
            checkpoint_interval=CHECKPOINT,
            interval=timedelta(milliseconds=50),
            clock=clock,
        )
        await here.ask(alice)
        clock.ahead = MISSED
        await anyio.to_thread.run_sync(own_redis.stop)
        sweeping = asyncio.create_task(sweep.run())
        with anyio.fail_after(TOO_LONG):
            while not any(record.getMessage().startswith("sweep:") for record in caplog.records):
                await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(own_redis.start)

            await model.asked()

        assert not [
            record
            for record in caplog.records
            if record.name == "chat_app.sweep" and record.levelno > logging.WARNING
        ]
        sweeping.cancel()
        await asyncio.wait([sweeping])
