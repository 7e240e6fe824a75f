"""A producer's side of a stream: the right to write it, and what it has written."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chat_app.errors import ChatAppError, Fenced, StreamClosed
from chat_app.streams import frame
from chat_app.streams.keys import Keys
from chat_app.streams.model import Outcome, StreamId
from chat_app.streams.tail import Tail

_MAX_PENDING_CHARS = 256 * 1024
"""Characters that may wait for a flush before `wait_for_room` makes the producer wait."""

_WRITTEN = (b"ok", b"stop")


class _Text:
    """Text deltas of one part that no flush has taken yet."""

    __slots__ = ("kind", "part_id", "pieces")

    def __init__(self, kind: str, part_id: str, text: str) -> None:
        self.kind, self.part_id, self.pieces = kind, part_id, [text]

    def frame(self, offset: int) -> bytes:
        return frame.encode_delta(offset, self.kind, self.part_id, "".join(self.pieces))


class Appender:
    """One producer's right to write one stream.

    Appending never waits. Events are durable once `wait_flushed` returns, and viewers never see
    them earlier. What the store loses in a restart is written again at the same offsets.

    Attributes:
        tail: The stream from its first event, as far as it is durable.
        keys: Where the stream lives in the store.
        stop_requested: Set when a stop was requested, or when this producer is fenced.
        outage: Set when the store does not take a flush; cleared by the task that waits for it.
        still_owner: Asks the issuer of the token whether this one is still the newest.
    """

    def __init__(
        self,
        stream_id: StreamId,
        *,
        token: int,
        tail: Tail,
        keys: Keys,
        wake: "Callable[[Appender], None]",
        still_owner: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.tail = tail
        self.stop_requested = asyncio.Event()
        self.outage = asyncio.Event()
        self.keys = keys
        self._token = str(token)
        self.still_owner = still_owner or _always_owner
        self._wake = wake
        self._pending: list[bytes | _Text] = []
        self._pending_chars = 0
        self._unconfirmed: list[bytes] = []  # frames of the current flush, kept to be resent
        self._restore = False
        self._end = tail.end  # how far this producer knows the stream to be durable
        self._outcome: Outcome | None = None  # given to `close`
        self._sent_outcome: Outcome | None = None  # sent with the current flush
        self._error: ChatAppError | None = None
        self._confirmed = asyncio.Event()  # set at each answer from the store
        self._confirmed_since_pulse = False

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event.

        Raises:
            Fenced: Another producer has taken over the stream.
            StreamClosed: The stream has ended.
        """
        self._check()
        encoded = frame.event_json(event)
        self._pending_chars += len(encoded)
        self._pending.append(encoded)
        self._wake(self)

    def append_text(self, text: str, *, part_id: str, kind: str = "text-delta") -> None:
        """Add a delta to a text or reasoning part; raises as `append` does."""
        if self._error is not None or self._outcome is not None:
            self._check()
        self._pending_chars += len(text)
        pending = self._pending
        if pending:
            newest = pending[-1]
            if type(newest) is _Text and newest.part_id == part_id and newest.kind == kind:
                newest.pieces.append(text)  # the writer has been woken for it already
                return
        pending.append(_Text(kind, part_id, text))
        self._wake(self)

    async def wait_for_room(self) -> None:
        """Wait until the store has caught up enough; a fast producer calls this often."""
        if self._pending_chars > _MAX_PENDING_CHARS:
            await self._wait_until(lambda: self._pending_chars <= _MAX_PENDING_CHARS)

    async def wait_flushed(self) -> None:
        """Wait until everything appended is durable; raises as `append` does."""
        await self._wait_until(lambda: not self._pending and not self._unconfirmed)

    async def close(self, outcome: Outcome) -> None:
        """Close the stream together with its last events, atomically; final and idempotent.

        Raises:
            Fenced: Another producer has taken over the stream.
            StreamClosed: The stream has already ended, and differently.
        """
        if self._outcome is None:
            self._check()
            self._outcome = outcome
            self._wake(self)
        await self._wait_until(lambda: self.tail.outcome is not None)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._outcome is not None:
            raise StreamClosed(f"stream {self.stream_id} has ended")

    async def _wait_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            if self._error is not None:
                raise self._error
            self._confirmed.clear()
            await self._confirmed.wait()

    def next_request(self) -> list[str | bytes]:
        """Return the arguments for `append.lua`, with the same events until they are answered."""
        first = self._end + 1
        if not self._unconfirmed and self._pending:
            pending, self._pending, self._pending_chars = self._pending, [], 0
            self._unconfirmed = [
                frame.encode(offset, item) if isinstance(item, bytes) else item.frame(offset)
                for offset, item in enumerate(pending, first)
            ]
        frames, restore = self._unconfirmed, "0"
        if self._restore:
            frames, first, restore = self.tail.frames(after=0) + frames, 1, "1"
        self._sent_outcome = None if self._pending else self._outcome
        outcome = "" if self._sent_outcome is None else str(self._sent_outcome)
        return [self._token, str(first), restore, outcome, str(len(frames)), *frames]

    def on_reply(self, status: bytes) -> None:
        """Process the store's answer to the last `next_request`."""
        if status in _WRITTEN:
            if status == b"stop":
                self.stop_requested.set()
            frames, self._unconfirmed = self._unconfirmed, []
            self._restore = False
            if self.tail.end == self._end:
                self._end += len(frames)
                self.tail.append(frames, outcome=self._sent_outcome)
            else:
                # A newer producer in this process has opened the stream meanwhile; the tail
                # already holds these frames.
                self.fence()
                return
        elif status == b"gap":
            # The store restarted from an older copy of its data.
            self._restore = self._error is None
        elif status == b"lost":
            # It restarted empty and forgot who owns the stream: `restore` or `fence` follows.
            return
        elif status == b"fenced":
            self.fence()
            return
        else:
            self._error = StreamClosed(f"stream {self.stream_id} has ended")
        self._confirmed_since_pulse = True
        self._confirmed.set()
        if self._error is None and (self._pending or self._restore or self._closing):
            self._wake(self)

    def restore(self) -> None:
        """Write the whole stream again at the same offsets, unless it was given up."""
        if self._error is None:
            self._restore = True
            self._wake(self)

    def fence(self) -> None:
        """Give the stream up: a newer producer owns it, or nobody does any more."""
        self._error = Fenced(f"another producer has taken over stream {self.stream_id}")
        self._restore = False
        self._confirmed.set()
        self.stop_requested.set()  # wakes a producer whose model is silent

    def was_idle(self) -> bool:
        """Return whether the stream is open and has not been flushed since the previous call."""
        idle, self._confirmed_since_pulse = not self._confirmed_since_pulse, False
        return idle and self._error is None and self.tail.outcome is None

    @property
    def _closing(self) -> bool:
        return self._outcome is not None and self.tail.outcome is None


async def _always_owner() -> bool:
    return True
