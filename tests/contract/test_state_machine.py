"""The log compared with a plain list, under any order of operations that Hypothesis finds.

Two processes share a store. Producers open, write, are taken over and return too late; viewers join
anywhere, read, are cut and resume; stops are requested; the store loses its data while the producer
lives. In the end every viewer has the same bytes, and their text is that of the list.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import anyio
import pytest
import redis.asyncio as redis
from burner_redis import BurnerRedis  # pyright: ignore[reportMissingTypeStubs]
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chat_app.errors import Fenced, StreamClosed
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.engine import engine_over
from chat_app.streams.follower import Follower
from chat_app.streams.keys import Keys
from chat_app.streams.log import LogOptions, StreamLog, serve_log
from chat_app.streams.model import Outcome, StreamId
from tests.support.redis_server import RedisServer

OPTIONS = LogOptions(timeout=timedelta(seconds=5), pulse=timedelta(milliseconds=20))
STEPS = 50
EXAMPLES = 300
ENOUGH = 10_000  # steps on each engine
TOO_LONG = 20

words = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5)
processes = st.integers(0, 1)


@dataclass
class Viewer:
    """One consumer, and all bytes it was ever given."""

    follower: Follower
    seen: bytes


@dataclass
class Producer:
    appender: Appender
    token: int
    unconfirmed: list[str] = field(default_factory=list)


class LogMachine(RuleBasedStateMachine):
    """The rules; `url` selects the engine."""

    url: ClassVar[str]
    steps: ClassVar[int] = 0
    producers = Bundle("producers")
    viewers = Bundle("viewers")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.text: list[str] = []  # the model: what the owner has written durably
        self.bytes = b""  # the longest run of frames any viewer was given
        self.owner: Producer | None = None
        self.token = 0
        self.outcome: Outcome | None = None
        self.stopped = False
        self.forgotten = False  # the store has lost the stream and nothing was written since
        self.everyone: list[Viewer] = []
        self.logs: list[StreamLog] = []
        self.stream_id = StreamId(uuid4().hex)
        self.keys = Keys.of(self.stream_id, prefix=OPTIONS.prefix)
        self.client: Any = None

    def run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(TOO_LONG):
                return await call()

        return self.runner.run(bounded())

    @initialize()
    def begin(self) -> None:
        async def start() -> None:
            embedded = self.url == "memory://"
            for _ in range(1 if embedded else 2):
                self.client = (
                    BurnerRedis() if embedded else redis.Redis.from_url(self.url, driver_info=None)
                )
                self.stack.push_async_callback(self.client.aclose)
                engine = engine_over(self.client, patience=OPTIONS.timeout)
                self.stack.push_async_callback(engine.aclose)
                self.logs.append(await self.stack.enter_async_context(serve_log(engine, OPTIONS)))
            await self.logs[0].create(self.stream_id)

        self.run(start)

    def teardown(self) -> None:
        try:
            self.run(self.settle)
        finally:
            self.run(self.stack.aclose)
            self.runner.close()

    async def settle(self) -> None:
        """Close the stream and have every viewer read to its end."""
        if self.outcome is None:
            if self.owner is None:
                await self.take_over(self.logs[0])
            assert self.owner is not None
            await self.owner.appender.close(Outcome(kind="completed"))
            self.confirm()
        late = await self.logs[-1].follow(self.stream_id)
        self.everyone.append(Viewer(follower=late, seen=b""))
        for viewer in self.everyone:
            async for batch in viewer.follower:
                self.give(viewer, batch.data)
        assert {viewer.seen for viewer in self.everyone} == {self.bytes}
        offsets = [frame.decode(piece)[0] for piece in frame.split(self.bytes)]
        assert offsets == list(range(1, len(offsets) + 1))
        assert self.said(self.bytes) == "".join(self.text)

    def log(self, process: int) -> StreamLog:
        return self.logs[process % len(self.logs)]

    def said(self, data: bytes) -> str:
        return "".join(frame.decode(piece)[1]["delta"] for piece in frame.split(data))

    def give(self, viewer: Viewer, data: bytes) -> None:
        """Record what a viewer was given; all viewers must agree on the bytes."""
        viewer.seen += data
        shorter, longer = sorted((viewer.seen, self.bytes), key=len)
        assert longer.startswith(shorter)
        self.bytes = longer

    def confirm(self) -> None:
        assert self.owner is not None
        self.text += self.owner.unconfirmed
        self.owner.unconfirmed = []
        self.forgotten = False

    async def take_over(self, log: StreamLog) -> Producer:
        self.token += 1
        token = self.token

        async def still_owner() -> bool:
            return token == self.token

        appender = await log.open(self.stream_id, token=token, still_owner=still_owner)
        self.owner = Producer(appender, token)
        return self.owner

    @precondition(lambda self: not self.forgotten)
    @rule(target=producers, process=processes)
    def open(self, process: int) -> Producer:
        async def call() -> Producer:
            if self.owner is not None and self.outcome is None:
                # The last words of the old owner may or may not have landed: settle that first.
                await self.owner.appender.wait_flushed()
                self.confirm()
            if self.outcome is not None:
                with pytest.raises(StreamClosed):
                    await self.log(process).open(self.stream_id, token=self.token + 1)
                assert self.owner is not None
                return self.owner
            producer = await self.take_over(self.log(process))
            written = b"".join(producer.appender.tail.frames(after=0))
            assert self.said(written) == "".join(self.text)
            assert producer.appender.stop_requested.is_set() or not self.stopped
            return producer

        return self.run(call)

    @rule(producer=producers, words=words, flush=st.booleans())
    def append(self, producer: Producer, words: list[str], flush: bool) -> None:
        async def call() -> None:
            late = producer is not self.owner or self.outcome is not None
            try:
                for word in words:
                    producer.appender.append_text(word, part_id="1")
                    producer.unconfirmed.append(word)
                if flush or late:
                    await producer.appender.wait_flushed()
                    assert not late
                    self.confirm()
            except (Fenced, StreamClosed):
                assert late
                producer.unconfirmed = []

        self.run(call)

    @rule(target=viewers, process=processes, back=st.integers(0, 30))
    def join(self, process: int, back: int) -> Viewer:
        """Join as a viewer that has all known events but the last `back`."""

        async def call() -> Viewer:
            if self.forgotten:
                await self.write_again()
            known = frame.split(self.bytes)
            cursor = max(0, len(known) - back)
            follower = await self.log(process).follow(self.stream_id, after=cursor)
            viewer = Viewer(follower=follower, seen=b"".join(known[:cursor]))
            self.everyone.append(viewer)
            return viewer

        return self.run(call)

    async def write_again(self) -> None:
        """Have the owner write, so that the store certainly has the stream again."""
        assert self.owner is not None
        self.owner.appender.append_text("again", part_id="1")
        self.owner.unconfirmed.append("again")
        await self.owner.appender.wait_flushed()
        self.confirm()

    @rule(viewer=viewers)
    def read(self, viewer: Viewer) -> None:
        async def call() -> None:
            said = self.said(viewer.seen)
            if len(said) < len("".join(self.text)):
                batch = await viewer.follower.next()
                assert batch is not None
                self.give(viewer, batch.data)

        self.run(call)

    @rule(viewer=viewers)
    def give_up_waiting(self, viewer: Viewer) -> None:
        async def call() -> None:
            waiting = asyncio.ensure_future(viewer.follower.next())
            await anyio.lowlevel.checkpoint()
            waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled() and (batch := waiting.result()) is not None:
                self.give(viewer, batch.data)

        self.run(call)

    @rule(viewer=consumes(viewers))
    def leave(self, viewer: Viewer) -> None:
        if viewer in self.everyone:
            self.everyone.remove(viewer)

    @precondition(lambda self: not self.forgotten)
    @rule(process=processes)
    def stop(self, process: int) -> None:
        async def call() -> None:
            state = await self.log(process).request_stop(self.stream_id)
            assert state.outcome == self.outcome
            if self.outcome is None:
                self.stopped = True
                if self.owner is not None:
                    await self.owner.appender.stop_requested.wait()

        self.run(call)

    @precondition(lambda self: self.owner is not None and self.outcome is None)
    @rule(kind=st.sampled_from(["completed", "stopped", "interrupted"]))
    def close(self, kind: Any) -> None:
        async def call() -> None:
            assert self.owner is not None
            outcome = Outcome(kind=kind)
            await self.owner.appender.close(outcome)
            self.confirm()
            self.outcome = outcome
            assert (await self.logs[-1].state(self.stream_id)).outcome == outcome

        self.run(call)

    @precondition(lambda self: self.owner is not None and self.outcome is None)
    @rule()
    def lose_memory(self) -> None:
        async def call() -> None:
            await self.client.delete(self.keys.state, self.keys.log)
            self.forgotten, self.stopped = True, False

        self.run(call)

    @invariant()
    def one_more_step(self) -> None:
        type(self).steps += 1

    @invariant()
    def nobody_knows_more_than_was_written(self) -> None:
        unconfirmed = self.owner.unconfirmed if self.owner is not None else []
        assert "".join([*self.text, *unconfirmed]).startswith(self.said(self.bytes))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["memory", "redis"])
def test_the_log_is_a_list_whatever_happens(
    engine: str, redis_server: RedisServer, redis_url: str
) -> None:
    class Machine(LogMachine):
        url = "memory://" if engine == "memory" else redis_url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
        ),
    )

    assert Machine.steps >= ENOUGH
