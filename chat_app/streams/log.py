"""The durable log, as the rest of the application sees it."""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from chat_app.errors import (
    Fenced,
    InvalidOffset,
    OffsetExpired,
    StreamClosed,
    StreamNotFound,
)
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.engine import Engine, open_engine
from chat_app.streams.feed import Feed
from chat_app.streams.follower import PAGE, Follower
from chat_app.streams.keys import Keys
from chat_app.streams.model import Outcome, StreamId, StreamState
from chat_app.streams.tail import Tail
from chat_app.streams.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Where the log keeps its keys, how long it keeps streams and how long it waits.

    Attributes:
        prefix: The start of every key, so that applications can share a store.
        log_ttl: How long a closed stream is kept.
        open_ttl: How long a stream that nobody closes is kept: longer than any generation.
        timeout: How long the store may take to answer.
        pulse: How long a stream may be silent before it is checked.
    """

    prefix: str = "chat"
    log_ttl: timedelta = timedelta(hours=1)
    open_ttl: timedelta = timedelta(days=1)
    timeout: timedelta = timedelta(seconds=5)
    pulse: timedelta = timedelta(seconds=1)

    @property
    def restore_grace(self) -> timedelta:
        """How long a live producer may take to write again what the store has lost."""
        return 2 * self.pulse


class StreamLog:
    """Append-only streams that outlive the process that writes them.

    Guarantees (tests/contract):
      Order     consumers see every event once, in one order; offsets are 1, 2, 3 … without gaps.
      Fencing   once a producer has opened a stream, no older producer's append lands.
      Closure   final, idempotent, and atomic with the last event. Being up to date is not closure.
      Liveness  a consumer that is slow, gone or far behind costs the producer nothing.

    Every method raises `LogUnavailable` when the store does not answer. A producer that
    has begun waits the outage out, and so does a consumer of an open stream.

    Attributes:
        options: The options it was opened with.
    """

    def __init__(self, engine: Engine, options: LogOptions) -> None:
        self._engine = engine
        self.options = options
        self._writer = Writer(
            engine,
            log_ttl=options.log_ttl,
            open_ttl=options.open_ttl,
            pulse=options.pulse,
            on_fenced=self._follow_elsewhere,
        )
        self._feed = Feed(
            engine,
            prefix=options.prefix,
            timeout=options.timeout,
            pulse=options.pulse,
            on_stop=self._stop_here,
        )
        # The producers and followers of a stream hold its tail, which goes with the last of them.
        self._tails: weakref.WeakValueDictionary[StreamId, Tail] = weakref.WeakValueDictionary()
        self._appenders: weakref.WeakValueDictionary[StreamId, Appender]
        self._appenders = weakref.WeakValueDictionary()

    async def ping(self) -> None:
        """Return if the store answers: worth checking before anything is promised."""
        await self._engine.run("watch", keys=self._keys(StreamId("ping")), args=["read", ""])

    async def create(self, stream_id: StreamId) -> None:
        """Register a stream, so that it can be followed and stopped before it is produced."""
        keys = self._keys(stream_id)
        await self._engine.run("create", keys=[keys.state], args=[_ms(self.options.open_ttl)])

    async def open(
        self,
        stream_id: StreamId,
        *,
        token: int,
        still_owner: Callable[[], Awaitable[bool]] | None = None,
    ) -> Appender:
        """Become the only producer of a stream.

        Args:
            stream_id: The stream, which need not exist yet.
            token: The fencing token: larger than that of any earlier producer.
            still_owner: Called before a stream that the store has lost is written again: whether
                `token` is still the newest. Without it the stream is written in any case.

        Returns:
            The right to append. Its `tail` holds everything that earlier producers wrote.

        Raises:
            Fenced: A producer with a larger token owns the stream.
            StreamClosed: The stream has ended.
            StreamNotFound: The store has come back with fewer events than were seen here. Older
                tokens are void even then.
        """
        keys = self._keys(stream_id)
        args = [str(token), _ms(self.options.open_ttl)]
        status, end, stop = await self._engine.run("open", keys=keys, args=args)
        if status == b"fenced":
            raise Fenced(f"another producer has taken over stream {stream_id}")
        if status == b"closed":
            raise StreamClosed(f"stream {stream_id} has ended")
        frames: list[bytes] = []
        while len(frames) < end:
            frames += await self._page(keys, after=len(frames))
        tail = self._tails.setdefault(stream_id, Tail())
        if tail.end > end:
            raise StreamNotFound(f"the store has an older copy of stream {stream_id}")
        tail.adopt(frames)
        wake = self._writer.wake
        appender = Appender(
            stream_id, token=token, tail=tail, keys=keys, wake=wake, still_owner=still_owner
        )
        if stop == b"1":
            appender.stop_requested.set()
        self._appenders[stream_id] = appender
        self._writer.add(appender)
        await self._feed.release(keys)
        return appender

    async def leave(self, appender: Appender) -> None:
        """Stop writing a stream here; its viewers go on with what another process writes.

        Does nothing if it is closed. Viewers stay with another producer in this process, if any.
        """
        if appender.tail.outcome is None:
            appender.fence()  # it may still be held, and must not restore the stream
            await self._follow_elsewhere(appender)

    async def follow(
        self, stream_id: StreamId, *, after: int = 0, compact: bool = False
    ) -> Follower:
        """Replay the events after cursor `after`, then follow live until the stream closes.

        Args:
            stream_id: A stream that was created or opened.
            after: The cursor: the offset of the last event the consumer has; 0 for none.
            compact: Merge neighbouring deltas of the replay: same message, fewer bytes.

        Raises:
            StreamNotFound: The log does not hold the stream, or no longer does.
            InvalidOffset: The stream has not reached `after`.
        """
        tail = await self._attach(stream_id)
        if after > tail.end:
            # This process may be behind: another one writes, and its push is on the way.
            await self._wait_until_reached(stream_id, after)
        fetch = partial(self._fetch, self._keys(stream_id), tail)
        return Follower(tail, fetch=fetch, after=after, compact=compact)

    async def _wait_until_reached(self, stream_id: StreamId, after: int) -> None:
        state = await self.state(stream_id)
        if after > state.tail and state.outcome is None:
            # A store that came back with an older copy of its data lacks what consumers have seen,
            # until the producer's next event or pulse, when it is written again.
            await asyncio.sleep(self.options.restore_grace.total_seconds())
            state = await self.state(stream_id)
        if after > state.tail:
            msg = f"the stream's newest offset is {state.tail}"
            raise InvalidOffset(msg, tail=state.tail)

    async def state(self, stream_id: StreamId) -> StreamState:
        """Return the current state of a stream. Raises `StreamNotFound`."""
        known, end, outcome, stop = await self._engine.run(
            "watch", keys=self._keys(stream_id), args=["read", ""]
        )
        if not known:
            raise StreamNotFound(f"no stream {stream_id}")
        return StreamState(tail=end, outcome=_outcome(outcome), stop_requested=stop == b"1")

    async def request_stop(self, stream_id: StreamId) -> StreamState:
        """Ask the producer of an open stream to end it; idempotent. Raises `StreamNotFound`."""
        known, end, outcome = await self._engine.run(
            "stop", keys=self._keys(stream_id), args=[self._feed.stop_channel, stream_id]
        )
        if not known:
            raise StreamNotFound(f"no stream {stream_id}")
        if not outcome:
            self._stop_here(stream_id)
        return StreamState(tail=end, outcome=_outcome(outcome), stop_requested=not outcome)

    async def delete(self, stream_id: StreamId) -> None:
        """Delete a stream with its events; does nothing if there is none.

        To a producer that is still writing, the store has lost the stream: its `still_owner`
        decides whether to write it again. So delete what the stream belongs to first.
        """
        await self._engine.run("delete", keys=self._keys(stream_id), args=[])
        tail = self._tails.get(stream_id)
        if tail is not None:
            tail.lose()

    async def _fetch(self, keys: Keys, tail: Tail, after: int) -> list[bytes]:
        """Return the next frames after `after`, from this process if possible, else the log."""
        if after >= tail.end:
            raise OffsetExpired("the log no longer reaches this offset")
        if after >= tail.start:
            return tail.frames(after=after, limit=PAGE)
        frames = await self._page(keys, after=after)
        # The log may be ahead of the tail, which has to know all that viewers here have seen.
        return frames[: tail.end - after]

    def _stop_here(self, stream_id: StreamId) -> None:
        appender = self._appenders.get(stream_id)
        if appender is not None:
            appender.stop_requested.set()

    async def _follow_elsewhere(self, appender: Appender) -> None:
        """Let viewers here go on with what the producer that has taken over writes."""
        if self._appenders.get(appender.stream_id) is not appender:
            return  # the other producer is in this process
        appender.tail.keep_all = False
        if self._engine.shared:
            await self._feed.follow(keys=appender.keys, tail=appender.tail)

    async def _attach(self, stream_id: StreamId) -> Tail:
        tail = self._tails.get(stream_id)
        if tail is None or tail.lost:
            state = await self.state(stream_id)
            fresh = Tail(end=state.tail, outcome=state.outcome)
            tail = self._tails.setdefault(stream_id, fresh)
            if tail.lost:
                tail = self._tails[stream_id] = fresh
        if self._engine.shared and not tail.keep_all and tail.outcome is None:
            await self._feed.follow(keys=self._keys(stream_id), tail=tail)
        return tail

    async def _page(self, keys: Keys, *, after: int) -> list[bytes]:
        frames = await self._engine.frames(keys.log, after=after, limit=PAGE)
        if not frames or frame.offset_of(frames[0]) != after + 1:
            raise OffsetExpired("the log of this stream is gone")
        return frames

    def _keys(self, stream_id: StreamId) -> Keys:
        return Keys.of(stream_id, prefix=self.options.prefix)

    async def run(self) -> None:
        """Write and receive until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._writer.run(), name="stream writer")
            if self._engine.shared:
                tasks.create_task(self._feed.run(), name="stream feed")


@asynccontextmanager
async def serve_log(engine: Engine, options: LogOptions) -> AsyncGenerator[StreamLog]:
    """Open a log over `engine`, with its tasks running."""
    log = StreamLog(engine, options)
    running = asyncio.create_task(log.run(), name="stream log")
    try:
        yield log
    finally:
        running.cancel()
        await asyncio.wait([running])


@asynccontextmanager
async def open_log(url: str, options: LogOptions) -> AsyncGenerator[StreamLog]:
    """Open a log over the store at `url`, with its tasks running."""
    async with (
        open_engine(url, patience=options.timeout) as engine,
        serve_log(engine, options) as log,
    ):
        yield log


def _outcome(stored: bytes) -> Outcome | None:
    return Outcome.parse(stored.decode()) if stored else None


def _ms(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))
