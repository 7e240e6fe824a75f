"""The write side: every producer of this process, one flush at a time.

While a flush is under way new events pile up; the next flush takes them all, and neighbouring
text deltas of a stream become one event. So there is no timer: an idle writer adds no delay, a
busy one sends fewer, larger commands, and the store's speed is the back-pressure.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from chat_app.errors import ChatAppError, Fenced, LogUnavailable, StreamClosed
from chat_app.streams import frame
from chat_app.streams.engine import Engine
from chat_app.streams.keys import Keys
from chat_app.streams.model import Outcome, StreamId
from chat_app.streams.tail import Tail

_logger = logging.getLogger(__name__)

_ROOM = 256 * 1024
"""Characters a producer may be ahead of the store before `Appender.room` makes it wait."""
_STREAMS_PER_FLUSH = 512
_FIRST_RETRY, _LAST_RETRY = 0.05, 1.0  # seconds


class _Text:
    """Text deltas of one part that no flush has taken yet."""

    __slots__ = ("kind", "part_id", "pieces")

    def __init__(self, kind: str, part_id: str, text: str) -> None:
        self.kind, self.part_id, self.pieces = kind, part_id, [text]

    def encode(self) -> bytes:
        return frame.delta_json(self.kind, self.part_id, "".join(self.pieces))


class Appender:
    """One producer's right to write one stream.

    Appending never waits: events are durable once `flushed` returns, and viewers see them only
    then. If the store restarts empty, the stream is written again at the same offsets.

    Attributes:
        tail: The whole stream so far, as far as it is durable.
        stop_requested: Somebody asked for the end of this stream.
    """

    def __init__(
        self,
        stream_id: StreamId,
        *,
        token: int,
        tail: Tail,
        keys: Keys,
        wake: "Callable[[Appender], None]",
    ) -> None:
        self.stream_id = stream_id
        self.tail = tail
        self.stop_requested = asyncio.Event()
        self._token = token
        self._keys = keys
        self._wake = wake
        self._pending: list[bytes | _Text] = []
        self._pending_chars = 0
        self._unconfirmed: list[bytes] = []  # frames of the flush under way, kept to send again
        self._restore = False
        self._outcome: Outcome | None = None  # what the producer wants
        self._asked: Outcome | None = None  # what the flush under way carries
        self._error: ChatAppError | None = None
        self._confirmed = asyncio.Event()  # set at each answer of the store

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event.

        Raises:
            Fenced: Another producer has taken the stream over.
            StreamClosed: The stream has ended.
        """
        self._check()
        self._pending.append(frame.event_json(event))
        self._wake(self)

    def append_text(self, text: str, *, part_id: str, kind: str = "text-delta") -> None:
        """Add a delta to a text or reasoning part; raises as `append` does."""
        self._check()
        self._pending_chars += len(text)
        newest = self._pending[-1] if self._pending else None
        if isinstance(newest, _Text) and newest.part_id == part_id and newest.kind == kind:
            newest.pieces.append(text)
        else:
            self._pending.append(_Text(kind, part_id, text))
        self._wake(self)

    async def room(self) -> None:
        """Return when the store has caught up enough for more; a fast producer calls it often."""
        if self._pending_chars > _ROOM:
            await self._until(lambda: self._pending_chars <= _ROOM)

    async def flushed(self) -> None:
        """Return when everything appended is durable; raises as `append` does."""
        await self._until(lambda: not self._pending and not self._unconfirmed)

    async def close(self, outcome: Outcome) -> None:
        """End the stream with what was appended last, in one atomic step; final and idempotent.

        Raises:
            Fenced: Another producer has taken the stream over.
        """
        if self._outcome is None:
            self._check()
            self._outcome = outcome
            self._wake(self)
        await self._until(lambda: self.tail.outcome is not None)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._outcome is not None:
            raise StreamClosed(f"stream {self.stream_id} has ended")

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            if self._error is not None:
                raise self._error
            self._confirmed.clear()
            await self._confirmed.wait()

    def request(self, lifetime: Callable[[Outcome | None], str]) -> list[str | bytes]:
        """What `append.lua` is to do for this stream now; the same again until it is answered."""
        first = self.tail.end + 1
        if not self._unconfirmed:
            pending, self._pending, self._pending_chars = self._pending, [], 0
            self._unconfirmed = [
                frame.encode(offset, item if isinstance(item, bytes) else item.encode())
                for offset, item in enumerate(pending, start=first)
            ]
        frames = self._unconfirmed
        if self._restore:
            frames, first = self.tail.frames(after=0) + frames, 1
        self._asked = None if self._pending else self._outcome
        ttl = lifetime(self._asked)
        head = (self._token, first, int(self._restore), self._asked or "", ttl, len(frames))
        return [*map(str, head), *frames]

    def answered(self, status: bytes, *, stop: bool) -> None:
        """Take the store's answer to the last `request`."""
        if stop:
            self.stop_requested.set()
        if status == b"ok":
            frames, self._unconfirmed = self._unconfirmed, []
            self._restore = False
            self.tail.extend(frames, last=self.tail.end + len(frames), outcome=self._asked)
        elif status in {b"lost", b"gap"}:
            # The store restarted empty, or from an older copy of itself.
            self._restore = True
        elif status == b"fenced":
            self._error = Fenced(f"another producer has taken over stream {self.stream_id}")
        else:
            self._error = StreamClosed(f"stream {self.stream_id} has ended")
        self._confirmed.set()
        if self._error is None and (self._pending or self._restore or self._closing):
            self._wake(self)

    @property
    def _closing(self) -> bool:
        return self._outcome is not None and self.tail.outcome is None

    @property
    def keys(self) -> Keys:
        """Where the stream lives in the store."""
        return self._keys


class Writer:
    """Flushes what the producers of this process append. `run` is its one task."""

    def __init__(
        self,
        engine: Engine,
        *,
        log_ttl: timedelta,
        open_ttl: timedelta,
        on_fenced: Callable[[Appender], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._on_fenced = on_fenced
        self._log_ttl, self._open_ttl = _ms(log_ttl), _ms(open_ttl)
        self._dirty: dict[StreamId, Appender] = {}
        self._work = asyncio.Event()  # set while something is dirty

    def wake(self, appender: Appender) -> None:
        """Have `appender` asked what it wants written."""
        self._dirty[appender.stream_id] = appender
        self._work.set()

    async def run(self) -> None:
        """Flush until cancelled; what the store did not answer is sent again when it is back."""
        delay = _FIRST_RETRY
        while True:
            await self._work.wait()
            batch = [self._dirty.pop(key) for key in list(self._dirty)[:_STREAMS_PER_FLUSH]]
            if not self._dirty:
                self._work.clear()
            try:
                await self._flush(batch)
                delay = _FIRST_RETRY
            except LogUnavailable as error:
                if delay == _FIRST_RETRY:
                    _logger.warning("%s; trying until it does", error)
                for appender in batch:
                    self.wake(appender)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)

    async def _flush(self, batch: list[Appender]) -> None:
        keys: list[str] = []
        args: list[str | bytes] = []
        for appender in batch:
            keys += (appender.keys.state, appender.keys.log)
            args += appender.request(self._lifetime)
        replies = await self._engine.run("append", keys=keys, args=args)
        for appender, (status, _tail, stop) in zip(batch, replies, strict=True):
            appender.answered(status, stop=stop == b"1")
            if status == b"fenced":
                await self._on_fenced(appender)

    def _lifetime(self, outcome: Outcome | None) -> str:
        return self._open_ttl if outcome is None else self._log_ttl


def _ms(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))
