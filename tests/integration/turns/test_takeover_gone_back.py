"""Every answer and every log ends, even if the store or the database has gone back in time."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
import redis

from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.streams import StreamRepository
from chat_app.errors import InvalidOffset, LogUnavailable, StreamNotFound
from chat_app.generation.llm import Delta, Finish
from chat_app.generation.producer import Producer
from chat_app.generation.reply import Reply
from chat_app.identity.identity import Identity
from chat_app.replies import Replies
from chat_app.streams import frame
from chat_app.streams.engine import Engine, open_engine
from chat_app.streams.log import LogOptions, serve_log
from chat_app.streams.model import Batch, Outcome, OutcomeKind, StreamId
from tests.support.failing_engine import FailingEngine
from tests.support.generating import begun, ended, store_rewound
from tests.support.redis_server import RedisServer
from tests.support.scripted_llm import Line, ScriptedLLM
from tests.support.server_process import (
    CHAT,
    NEVER,
    TOO_LONG,
    ServerProcess,
    events,
    server_process,
    text_of,
)

pytestmark = pytest.mark.anyio

OPTIONS = LogOptions(timeout=timedelta(seconds=2))
NO_PULSE = LogOptions(timeout=timedelta(seconds=2), pulse=NEVER)
"""Options of a process that notices its store's state only when its model speaks."""
FAST_PULSE = LogOptions(timeout=timedelta(seconds=2), pulse=timedelta(milliseconds=20))
"""Options of a process that waits only a moment for a missing producer."""
MORE_OFTEN_THAN_IT_IS_ASKED = 1000
THE_SEA = ("the ", "sea.", Finish())


class Store(FailingEngine):
    """One process's view of the store, which can be made to fail and records requests.

    Attributes:
        failures: How many more times each script fails, by its name.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._looked = asyncio.Event()
        self._refused = asyncio.Event()

    def fail(self, name: str) -> None:
        if self.failures[name]:
            self.failures[name] -= 1
            self._refused.set()
            raise LogUnavailable(name)

    async def run(self, script: str, *, keys: Any, args: Sequence[str | bytes]) -> Any:
        self.fail(script)
        answer = await super().run(script, keys=keys, args=args)
        if script == "watch" and args[0] == "read":
            self._looked.set()
        return answer

    async def looked(self) -> None:
        """Wait until the state of a stream was read."""
        with anyio.fail_after(TOO_LONG):
            await self._looked.wait()

    async def refused(self) -> None:
        """Wait until a request has failed."""
        with anyio.fail_after(TOO_LONG):
            await self._refused.wait()


class Records(StreamRepository):
    """A database that reports what was written last.

    Attributes:
        kept: The text of the newest checkpoint.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.kept: str | None = None
        self._saved = asyncio.Event()
        self._changed = asyncio.Event()

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, fencing_token: int, text: str, tail: int
    ) -> None:
        await super().checkpoint(
            identity, stream_id, fencing_token=fencing_token, text=text, tail=tail
        )
        self.kept = text
        self._changed.set()

    async def finish(self, *args: Any, **options: Any) -> Any:
        chat_id = await super().finish(*args, **options)
        self._saved.set()
        return chat_id

    async def until(self, *, kept: str) -> None:
        """Wait until the newest checkpoint is `kept`."""
        with anyio.fail_after(TOO_LONG):
            while self.kept != kept:
                self._changed.clear()
                await self._changed.wait()

    async def saved(self) -> None:
        """Wait until a reply was saved."""
        with anyio.fail_after(TOO_LONG):
            await self._saved.wait()


@pytest.fixture
async def here(
    redis_url: str, database: Database, model: ScriptedLLM
) -> AsyncGenerator[ServerProcess]:
    async with server_process(redis_url, database, model) as process:
        yield process


@pytest.fixture
async def elsewhere(
    redis_url: str, other_process: Database, other_model: ScriptedLLM
) -> AsyncGenerator[ServerProcess]:
    async with server_process(redis_url, other_process, other_model, options=FAST_PULSE) as process:
        yield process


@asynccontextmanager
async def process_over_store(
    url: str, database: Database, model: ScriptedLLM, *, streams: StreamRepository | None = None
) -> AsyncGenerator[tuple[ServerProcess, Store]]:
    """Open the parts of a process; yield them with its own view of the store."""
    async with open_engine(url, patience=OPTIONS.timeout) as engine:
        store = Store(engine)
        async with serve_log(store, OPTIONS) as log:
            producer = Producer(
                log,
                Replies(streams or StreamRepository(database)),
                models=lambda _name: model,
                checkpoint_interval=NEVER,
                max_takeovers=10,
                continues=True,
                log_survives=True,
            )
            yield ServerProcess(url=url, database=database, log=log, producer=producer), store


async def killed(producing: asyncio.Task[None]) -> None:
    producing.cancel()
    await ended(producing)


async def produced(process: ServerProcess, owner: Identity, stream_id: StreamId) -> None:
    with anyio.fail_after(TOO_LONG):
        await process.producer.produce(owner, stream_id)


@contextmanager
def database_rewound(database_url: str) -> Iterator[None]:
    """Restore the database, after the block, to what it was before it."""
    path = database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(":memory:")) as copy:
        live.backup(copy)
        yield
        copy.backup(live)


# The store goes back while an answer is being written


async def test_a_living_producer_keeps_its_answer_when_the_store_goes_back(
    own_redis: RedisServer,
    database: Database,
    other_process: Database,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    streams, url = StreamRepository(database), own_redis.socket_url
    async with (
        server_process(url, database, model, options=NO_PULSE) as here,
        process_over_store(url, other_process, other_model) as (elsewhere, store),
    ):
        stream_id, first = await begun(here, model, alice, "To ", until="To ")
        with redis.Redis.from_url(url) as client:
            client.save()
        viewers = [
            asyncio.create_task(process.everything(stream_id)) for process in (here, elsewhere)
        ]
        model.say("the ")
        seen = [await process.watch(stream_id, text="To the ") for process in (here, elsewhere)]
        tail = len(frame.split(seen[0]))
        await streams.checkpoint(alice, stream_id, fencing_token=1, text="To the ", tail=tail)

        own_redis.restart(saved=True)
        second = asyncio.create_task(elsewhere.producer.produce(alice, stream_id))
        await store.looked()
        model.say("sea.", Finish())
        await ended(first, second, *viewers)

        reply = (await here.chat(alice)).messages[-1]
        data = await elsewhere.everything(stream_id)
        assert await streams.is_newest_claim(alice, stream_id, fencing_token=1)
    assert [task.exception() for task in (first, second)] == [None, None]
    assert other_model.prompts == []
    assert (reply.text, reply.status) == (text_of(data), "complete")
    assert reply.text == "To the sea."
    assert [viewer.result() for viewer in viewers] == [data, data]


async def test_an_ending_that_only_viewers_have_seen_is_not_rewritten_differently(
    here: ServerProcess,
    elsewhere: ServerProcess,
    redis_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To ", until="To ")
    tail = (await here.log.state(stream_id)).tail
    await StreamRepository(here.database).checkpoint(
        alice, stream_id, fencing_token=1, text="To ", tail=tail
    )
    viewer = await elsewhere.log.follow(stream_id, after=tail)
    with store_rewound(redis_url, stream_id):
        model.say("the ")
        with anyio.fail_after(TOO_LONG):
            assert await viewer.next() is not None
        await killed(first)

    other_model.say("hills.", Finish())
    await produced(elsewhere, alice, stream_id)

    chat = await here.chat(alice)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To ", "interrupted")
    assert chat.open_stream is None
    assert other_model.prompts == []
    with pytest.raises(StreamNotFound), anyio.fail_after(TOO_LONG):
        await viewer.next()
    with pytest.raises(StreamNotFound):
        await elsewhere.log.state(stream_id)


async def test_when_the_store_fails_the_text_so_far_is_kept_at_once(
    own_redis: RedisServer, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = Records(database)
    async with server_process(
        own_redis.socket_url, database, model, streams=streams, checkpoint_interval=NEVER
    ) as here:
        stream_id, producing = await begun(here, model, alice, "To ", until="To ")
        tail = (await here.log.state(stream_id)).tail

        own_redis.kill()
        model.say("the sea.")
        await streams.until(kept="To the sea.")

        claim = await streams.claim(alice, stream_id)
        await killed(producing)
    assert (claim.checkpoint, claim.tail) == ("To the sea.", tail)


# A closed row and its log


@pytest.mark.parametrize(
    ("durable", "lost"),
    [
        (["To "], ["the "]),
        ([], ["To "]),
        ([Delta(text="Hm", kind="reasoning")], [Delta(text="m.", kind="reasoning"), "To "]),
        ([Delta(text="Hm.", kind="reasoning"), "To "], ["the "]),
    ],
    ids=["text", "all", "thoughts", "text-behind-thoughts"],
)
async def test_the_log_of_an_answer_that_was_stopped_while_the_store_was_away_is_closed_whole(
    redis_url: str,
    database: Database,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
    durable: list[Line],
    lost: list[Line],
) -> None:
    streams = Records(database)
    async with process_over_store(redis_url, database, model, streams=streams) as (here, store):
        stream_id = await here.ask(alice)
        model.say(*durable)
        if not durable:
            store.failures["append"] = MORE_OFTEN_THAN_IT_IS_ASKED
        first = asyncio.create_task(here.producer.produce(alice, stream_id))
        if durable:
            with anyio.fail_after(TOO_LONG):
                while len(await parts_of(here, stream_id)) < len(durable):
                    await anyio.lowlevel.checkpoint()
            store.failures["append"] = MORE_OFTEN_THAN_IT_IS_ASKED
        model.say(*lost)
        await store.refused()
        await elsewhere.log.request_stop(stream_id)
        await streams.saved()
        await killed(first)

    await produced(elsewhere, alice, stream_id)

    data = await elsewhere.everything(stream_id)
    reply = (await elsewhere.chat(alice)).messages[-1]
    assert Reply.from_frames(frame.split(data)).stored() == list(reply.parts) != []
    assert "".join(part["text"] for part in reply.parts) == "".join(map(words, [*durable, *lost]))
    assert reply.status == events(data)[-1]["messageMetadata"]["outcome"] == "stopped"
    assert other_model.prompts == []


async def parts_of(process: ServerProcess, stream_id: StreamId) -> list[dict[str, Any]]:
    """Return the parts of a reply that are in the log."""
    try:
        follower = await process.log.follow(stream_id)
    except StreamNotFound:
        return []
    seen = b"" if follower.live else (await follower.next() or Batch(last=0, data=b"")).data
    return Reply.from_frames(frame.split(seen)).stored()


def words(line: Line) -> str:
    return line.text if isinstance(line, Delta) else str(line)


async def test_the_log_of_an_answer_that_was_swept_is_closed_with_all_its_saved_text(
    here: ServerProcess,
    elsewhere: ServerProcess,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, first = await begun(here, model, alice, "To ", until="To ")
    tail = (await here.log.state(stream_id)).tail
    await killed(first)
    # The producer's last text, from when it died while the store was away.
    await StreamRepository(here.database).checkpoint(
        alice, stream_id, fencing_token=1, text="To the ", tail=tail
    )
    await Housekeeping(here.database).close_stream(stream_id)

    await produced(elsewhere, alice, stream_id)

    data = await elsewhere.everything(stream_id)
    reply = (await elsewhere.chat(alice)).messages[-1]
    assert text_of(data) == reply.text == "To the "
    assert reply.status == events(data)[-1]["messageMetadata"]["outcome"] == "interrupted"
    assert other_model.prompts == []


async def test_an_open_log_of_a_closed_row_is_closed_when_a_viewer_resumes_it(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id, first = await begun(here, model, alice, "To ", until="To ")
    tail = (await here.log.state(stream_id)).tail
    await killed(first)
    # The sweeping process died right after it had closed the row.
    await Housekeeping(here.database).close_stream(stream_id)
    async with here.working() as generations:
        resumed = await here.turns(generations).resume(alice, CHAT, after=tail, stream_id=stream_id)

        assert resumed is not None
        assert resumed.follower is not None
        with anyio.fail_after(TOO_LONG):
            rest = b"".join([batch.data async for batch in resumed.follower])

    assert events(rest)[-1]["type"] == "finish"
    assert (await here.log.state(stream_id)).outcome == Outcome(kind="interrupted")
    assert len(model.prompts) == 1


async def test_a_cursor_beyond_a_log_that_went_back_is_answered_with_the_message(
    here: ServerProcess,
    elsewhere: ServerProcess,
    redis_url: str,
    model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, producing = await begun(here, model, alice, "To ", until="To ")
    with store_rewound(redis_url, stream_id):
        model.say("the ")
        seen = frame.split(await here.watch(stream_id, text="To the "))
        model.say("sea.", Finish())
        await ended(producing)
    async with elsewhere.working() as generations:
        resumed = await elsewhere.turns(generations).resume(
            alice, CHAT, after=len(seen), stream_id=stream_id
        )

    assert resumed is not None
    assert resumed.follower is None
    assert resumed.reply is not None
    assert (resumed.reply.text, resumed.reply.status) == ("To the sea.", "complete")


async def test_a_cursor_beyond_a_log_that_is_closed_is_refused(
    here: ServerProcess, elsewhere: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id, producing = await begun(here, model, alice, "To ", *THE_SEA, until="To the sea.")
    await ended(producing)
    tail = (await here.log.state(stream_id)).tail
    async with elsewhere.working() as generations:
        with pytest.raises(InvalidOffset):
            await elsewhere.turns(generations).resume(
                alice, CHAT, after=tail + 1, stream_id=stream_id
            )


async def test_an_outage_between_the_look_at_a_log_and_its_deletion_is_waited_out(
    here: ServerProcess,
    other_process: Database,
    redis_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    stream_id, producing = await begun(here, model, alice, "To ", until="To ")
    with store_rewound(redis_url, stream_id):
        model.say(*THE_SEA)
        await ended(producing)
    async with process_over_store(redis_url, other_process, other_model) as (elsewhere, store):
        store.failures["delete"] = 1

        await produced(elsewhere, alice, stream_id)

        assert store.failures["delete"] == 0
        with pytest.raises(StreamNotFound):
            await elsewhere.log.state(stream_id)
    reply = (await here.chat(alice)).messages[-1]
    assert (reply.text, reply.status) == ("To the sea.", "complete")


# An open row and its log


@pytest.mark.parametrize(
    ("last", "outcome", "code"),
    [(Finish(), "completed", None), (ValueError(), "failed", "internal_error")],
)
async def test_a_row_that_is_open_again_gets_the_reply_of_its_closed_log(
    here: ServerProcess,
    elsewhere: ServerProcess,
    database_url: str,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
    last: Finish | Exception,
    outcome: OutcomeKind,
    code: str | None,
) -> None:
    stream_id, producing = await begun(here, model, alice, "To ", until="To ")
    with database_rewound(database_url):
        model.say("the ", "sea.", last)
        await ended(producing)
        before = (await here.chat(alice)).messages[-1]
    assert (await here.chat(alice)).open_stream is not None

    await produced(elsewhere, alice, stream_id)

    chat = await here.chat(alice)
    after = chat.messages[-1]
    assert after.text == text_of(await here.everything(stream_id)) == "To the sea."
    assert (after.id, after.parts, after.status) == (before.id, before.parts, before.status)
    assert after.meta == before.meta
    assert chat.newest_stream is not None
    assert (chat.newest_stream.outcome, chat.newest_stream.error_code) == (outcome, code)
    assert other_model.prompts == []


async def test_a_log_that_cannot_be_read_as_a_reply_fails_after_its_last_takeover(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = StreamRepository(database)
    async with server_process(
        redis_url, database, model, max_takeovers=2, options=FAST_PULSE
    ) as here:
        stream_id = await here.ask(alice)
        token = (await streams.claim(alice, stream_id)).fencing_token
        appender = await here.log.open(stream_id, token=token)
        appender.append({"type": "text-delta", "id": "unheard-of", "delta": "To "})
        await appender.wait_flushed()
        await streams.checkpoint(alice, stream_id, fencing_token=token, text="To ", tail=1)
        await here.log.leave(appender)

        for _ in range(2):
            with pytest.raises(IndexError):
                await produced(here, alice, stream_id)
            assert (await here.chat(alice)).open_stream is not None
        await produced(here, alice, stream_id)

        chat = await here.chat(alice)
        with pytest.raises(StreamNotFound):
            await here.log.state(stream_id)
    assert chat.newest_stream is not None
    assert (chat.newest_stream.outcome, chat.newest_stream.error_code) == (
        "failed",
        "internal_error",
    )
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To ", "failed")
    assert model.prompts == []
