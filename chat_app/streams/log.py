"""The durable log: what the rest of the application knows of streams."""

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
    """How long things are kept and waited for.

    Attributes:
        prefix: Begins every key, so that applications can share a store.
        log_ttl: Life of a closed stream.
        open_ttl: Life of a stream nobody has closed: longer than any generation.
        timeout: For one answer of the store.
        pulse: How soon a silent stream is looked after.
    """

    prefix: str = "chat"
    log_ttl: timedelta = timedelta(hours=1)
    open_ttl: timedelta = timedelta(days=1)
    timeout: timedelta = timedelta(seconds=5)
    pulse: timedelta = timedelta(seconds=1)

    @property
    def restoring(self) -> timedelta:
        """How long a producer that lives needs to write again what its store has lost."""
        return 2 * self.pulse


class StreamLog:
    """Append-only streams that outlive the process that writes them.

    Guarantees (tests/contract):
      Order     consumers see every event once, in one order; offsets are 1, 2, 3 … without holes.
      Fencing   once a producer has opened a stream, no append of an older one lands.
      Closure   final, idempotent, and atomic with the last event. Up to date is not closed.
      Liveness  a consumer that is slow, gone or far behind costs the producer nothing.

    Every method raises `LogUnavailable` when the store does not answer; a producer and a consumer
    that have begun ride the outage through.

    Attributes:
        options: As it was opened with.
    """

    def __init__(self, engine: Engine, options: LogOptions) -> None:
        self._engine = engine
        self.options = options
        self._writer = Writer(
            engine,
            log_ttl=options.log_ttl,
            open_ttl=options.open_ttl,
            pulse=options.pulse,
            on_fenced=self._produced_elsewhere,
        )
        self._feed = Feed(
            engine,
            prefix=options.prefix,
            timeout=options.timeout,
            pulse=options.pulse,
            on_stop=self._stop_here,
        )
        # Whoever produces or follows a stream holds its tail; it goes with the last of them.
        self._tails: weakref.WeakValueDictionary[StreamId, Tail] = weakref.WeakValueDictionary()
        self._appenders: weakref.WeakValueDictionary[StreamId, Appender]
        self._appenders = weakref.WeakValueDictionary()

    async def ping(self) -> None:
        """Return if the store answers: worth asking before something is promised."""
        await self._engine.run("watch", keys=self._keys(StreamId("ping")), args=["read", ""])

    async def create(self, stream_id: StreamId) -> None:
        """Make a stream known, so that it can be followed and stopped before it is produced."""
        keys = self._keys(stream_id)
        await self._engine.run("create", keys=[keys.state], args=[_ms(self.options.open_ttl)])

    async def open(
        self,
        stream_id: StreamId,
        *,
        token: int,
        still_owner: Callable[[], Awaitable[bool]] | None = None,
    ) -> Appender:
        """Become the stream's one producer.

        Args:
            stream_id: A stream that exists or not.
            token: The fencing token: larger than that of any producer before.
            still_owner: Asked, if the store should forget the stream, before it is written again:
                whether no larger token has been given out since. Without it nobody is asked.

        Returns:
            The right to append. Its `tail` holds all that earlier producers have written.

        Raises:
            Fenced: A producer with a larger token owns the stream.
            StreamClosed: The stream has ended.
            StreamNotFound: The store has come back with less than was seen here. Older tokens are
                worth nothing all the same.
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
        """This process writes the stream no more: its viewers go on with what others write.

        Nothing happens if the stream is closed, or has another producer in this process.
        """
        if appender.tail.outcome is None:
            appender.fence()  # it may be there still, and must not restore the stream
            await self._produced_elsewhere(appender)

    async def follow(
        self, stream_id: StreamId, *, after: int = 0, compact: bool = False
    ) -> Follower:
        """Replay what is behind cursor `after`, then go on live until the stream closes.

        Args:
            stream_id: A stream that was created or opened.
            after: The cursor: the offset of the last event the consumer has; 0 for none.
            compact: Merge neighbouring deltas of the replay: same message, fewer bytes.

        Raises:
            StreamNotFound: The log holds no such stream, or no more.
            InvalidOffset: The stream has not got to `after`.
        """
        tail = await self._attach(stream_id)
        if after > tail.end:
            # What is known here may be late: another process writes, and its push is on the way.
            await self._until_reached(stream_id, after)
        fetch = partial(self._fetch, self._keys(stream_id), tail)
        return Follower(tail, fetch=fetch, after=after, compact=compact)

    async def _until_reached(self, stream_id: StreamId, after: int) -> None:
        state = await self.state(stream_id)
        if after > state.tail and state.outcome is None:
            # A store that came back with an older copy of itself lacks what consumers have seen,
            # until the next event or pulse of the producer, who writes it again.
            await asyncio.sleep(self.options.restoring.total_seconds())
            state = await self.state(stream_id)
        if after > state.tail:
            msg = f"the stream's newest offset is {state.tail}"
            raise InvalidOffset(msg, tail=state.tail)

    async def state(self, stream_id: StreamId) -> StreamState:
        """What the log knows of a stream now. Raises `StreamNotFound`."""
        known, end, outcome, stop = await self._engine.run(
            "watch", keys=self._keys(stream_id), args=["read", ""]
        )
        if not known:
            raise StreamNotFound(f"no stream {stream_id}")
        return StreamState(tail=end, outcome=_outcome(outcome), stop_requested=stop == b"1")

    async def request_stop(self, stream_id: StreamId) -> StreamState:
        """Ask the producer to end an open stream; idempotent. Raises `StreamNotFound`."""
        known, end, outcome = await self._engine.run(
            "stop", keys=self._keys(stream_id), args=[self._feed.home, stream_id]
        )
        if not known:
            raise StreamNotFound(f"no stream {stream_id}")
        if not outcome:
            self._stop_here(stream_id)
        return StreamState(tail=end, outcome=_outcome(outcome), stop_requested=not outcome)

    async def delete(self, stream_id: StreamId) -> None:
        """Forget a stream, events and all; nothing happens if there is none.

        A producer that still writes it is treated like one whose stream the store has lost: its
        `still_owner` decides, so what it belongs to must be gone first.
        """
        await self._engine.run("delete", keys=self._keys(stream_id), args=[])
        tail = self._tails.get(stream_id)
        if tail is not None:
            tail.lose()

    async def _fetch(self, keys: Keys, tail: Tail, after: int) -> list[bytes]:
        """The next frames behind `after`, from this process if it has them, else from the log."""
        if after >= tail.end:
            raise OffsetExpired("the log of this stream has gone back")
        if after >= tail.start:
            return tail.frames(after=after, limit=PAGE)
        frames = await self._page(keys, after=after)
        # A push that arrived meanwhile must not be sent twice.
        return frames[: tail.end - after]

    def _stop_here(self, stream_id: StreamId) -> None:
        appender = self._appenders.get(stream_id)
        if appender is not None:
            appender.stop_requested.set()

    async def _produced_elsewhere(self, appender: Appender) -> None:
        """Another producer has taken over: viewers here go on with what that one writes."""
        if self._appenders.get(appender.stream_id) is not appender:
            return  # it is a producer of this very process
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
    """A log over `engine`, with its tasks running."""
    log = StreamLog(engine, options)
    running = asyncio.create_task(log.run(), name="stream log")
    try:
        yield log
    finally:
        running.cancel()
        await asyncio.wait([running])


@asynccontextmanager
async def open_log(url: str, options: LogOptions) -> AsyncGenerator[StreamLog]:
    """A log over the store at `url`, with its tasks running."""
    async with (
        open_engine(url, patience=options.timeout) as engine,
        serve_log(engine, options) as log,
    ):
        yield log


def _outcome(stored: bytes) -> Outcome | None:
    return Outcome.parse(stored.decode()) if stored else None


def _ms(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))
