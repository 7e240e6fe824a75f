"""The write side: every producer of this process, one flush at a time.

While a flush is under way new events pile up; the next flush takes them all, and neighbouring
text deltas of a stream become one event. An idle writer adds no delay; a busy one sends fewer,
larger commands, two milliseconds apart at least, and the store's speed is the back-pressure.
"""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from itertools import islice
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
_GAP = 0.003  # seconds between the beginnings of two flushes; the first after a pause never waits
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
        keys: Where the stream lives in the store.
        stop_requested: Somebody asked for the end of this stream.
        still_owner: Asks whoever gave out the token whether a newer one has been given out.
    """

    def __init__(
        self,
        stream_id: StreamId,
        *,
        token: int,
        tail: Tail,
        keys: Keys,
        wake: "Callable[[Appender], None]",
        still_owner: Callable[[], Awaitable[bool]],
    ) -> None:
        self.stream_id = stream_id
        self.tail = tail
        self.stop_requested = asyncio.Event()
        self.keys = keys
        self._token = str(token)
        self.still_owner = still_owner
        self._wake = wake
        self._pending: list[bytes | _Text] = []
        self._pending_chars = 0
        self._unconfirmed: list[bytes] = []  # frames of the flush under way, kept to send again
        self._restore = False
        self._outcome: Outcome | None = None  # what the producer wants
        self._asked: Outcome | None = None  # what the flush under way carries
        self._error: ChatAppError | None = None
        self._confirmed = asyncio.Event()  # set at each answer of the store
        self._confirmed_once = False  # since the last pulse

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

    def request(self, args: list[str | bytes], lifetime: Callable[[Outcome | None], str]) -> None:
        """Add to `args` what `append.lua` is to do now; the same again until it is answered."""
        first = self.tail.end + 1
        if not self._unconfirmed and self._pending:
            pending, self._pending, self._pending_chars = self._pending, [], 0
            self._unconfirmed = [
                frame.encode(offset, item if isinstance(item, bytes) else item.encode())
                for offset, item in enumerate(pending, first)
            ]
        frames, restore = self._unconfirmed, "0"
        if self._restore:
            frames, first, restore = self.tail.frames(after=0) + frames, 1, "1"
        self._asked = None if self._pending else self._outcome
        outcome = "" if self._asked is None else str(self._asked)
        args += (self._token, str(first), restore, outcome)
        args += (lifetime(self._asked), str(len(frames)))
        args += frames

    def answered(self, status: bytes, *, stop: bool) -> None:
        """Take the store's answer to the last `request`."""
        if stop:
            self.stop_requested.set()
        if status == b"ok":
            frames, self._unconfirmed = self._unconfirmed, []
            self._restore = False
            self.tail.append(frames, outcome=self._asked)
        elif status == b"gap":
            # The store restarted from an older copy of itself.
            self._restore = True
        elif status == b"lost":
            # It restarted empty, and with the stream it forgot who owns it: `restore` or `fence`.
            return
        elif status == b"fenced":
            self.fence()
            return
        else:
            self._error = StreamClosed(f"stream {self.stream_id} has ended")
        self._confirmed_once = True
        self._confirmed.set()
        if self._error is None and (self._pending or self._restore or self._closing):
            self._wake(self)

    def restore(self) -> None:
        """Write the whole stream again, at the same offsets."""
        self._restore = True
        self._wake(self)

    def fence(self) -> None:
        """Give up: a newer producer owns the stream."""
        self._error = Fenced(f"another producer has taken over stream {self.stream_id}")
        self._confirmed.set()

    @property
    def idle(self) -> bool:
        """Whether the stream is open and nothing has been flushed since the last time asked."""
        idle, self._confirmed_once = not self._confirmed_once, False
        return idle and self._error is None and self.tail.outcome is None

    @property
    def _closing(self) -> bool:
        return self._outcome is not None and self.tail.outcome is None


class Writer:
    """Flushes what the producers of this process append. `run` is its one task."""

    def __init__(
        self,
        engine: Engine,
        *,
        log_ttl: timedelta,
        open_ttl: timedelta,
        pulse: timedelta,
        on_fenced: Callable[[Appender], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._pulse = pulse.total_seconds()
        self._on_fenced = on_fenced
        self._log_ttl, self._open_ttl = _ms(log_ttl), _ms(open_ttl)
        self._dirty: dict[Appender, None] = {}  # a set that keeps its order
        self._work = asyncio.Event()  # set while something is dirty
        self._open: weakref.WeakSet[Appender] = weakref.WeakSet()  # each held by its producer
        # Streams the store has lost, until it is known who may write them again; ended by `run`.
        self._asking: dict[Appender, asyncio.Task[None]] = {}

    def add(self, appender: Appender) -> None:
        """Flush for `appender` from now on, as long as its producer holds it."""
        self._open.add(appender)

    def wake(self, appender: Appender) -> None:
        """Have `appender` asked what it wants written."""
        if appender not in self._dirty and appender not in self._asking:
            self._dirty[appender] = None
            self._work.set()

    async def run(self) -> None:
        """Flush until cancelled; what the store did not answer is sent again when it is back."""
        pulse = asyncio.create_task(self._beat(), name="stream pulse")
        try:
            await self._run()
        finally:
            helping = [pulse, *self._asking.values()]
            for task in helping:
                task.cancel()
            await asyncio.gather(*helping, return_exceptions=True)

    async def _beat(self) -> None:
        """Ask now and then after streams whose model is silent.

        So a store that has lost one is made to know it again, a stop whose message went astray is
        heard, and a producer that was taken over learns of it.
        """
        while True:
            await asyncio.sleep(self._pulse)
            for appender in list(self._open):
                if appender.idle:
                    self.wake(appender)

    async def _run(self) -> None:
        delay = _FIRST_RETRY
        loop = asyncio.get_running_loop()
        earliest = 0.0
        while True:
            await self._work.wait()
            if (wait := earliest - loop.time()) > 0:
                await asyncio.sleep(wait)
            earliest = loop.time() + _GAP
            batch = list(islice(self._dirty, _STREAMS_PER_FLUSH))
            for appender in batch:
                del self._dirty[appender]
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
            appender.request(args, self._lifetime)
        replies = await self._engine.append(keys=keys, args=args)
        for appender, (status, _tail, stop) in zip(batch, replies, strict=True):
            appender.answered(status, stop=stop == b"1")
            if status == b"fenced":
                await self._on_fenced(appender)
            elif status == b"lost":
                task = asyncio.create_task(self._ask(appender), name="stream owner")
                self._asking[appender] = task

    async def _ask(self, appender: Appender) -> None:
        """Find out whether this producer may write again what the store has lost.

        The store no longer knows; a producer that froze before it was taken over must not be the
        first one to come back.
        """
        while True:
            try:
                owner = await appender.still_owner()
                break
            except Exception:  # outermost frame of its task; without an answer nothing is written
                _logger.exception("cannot tell who owns stream %s", appender.stream_id)
                await asyncio.sleep(_LAST_RETRY)
        del self._asking[appender]
        if owner:
            appender.restore()
        else:
            appender.fence()
            await self._on_fenced(appender)

    def _lifetime(self, outcome: Outcome | None) -> str:
        return self._open_ttl if outcome is None else self._log_ttl


def _ms(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))
