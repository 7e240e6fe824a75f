"""The newest part of a stream, kept once per process for all its viewers."""

import asyncio
from collections.abc import Callable, Sequence

from chat_app.streams.model import Outcome

_KEPT = 1024
"""Frames kept of a stream produced elsewhere; a viewer that lags further reads the log."""


class Tail:
    """The newest frames of a stream, and a way to wait for more.

    A viewer holds a cursor, never a queue: however slow it is, what it has not taken yet costs
    nothing. All viewers share the same frames.

    Attributes:
        end: The newest offset known here.
        outcome: None while the stream is open.
        lost: Whether the stream was given up: deleted, or lost by the store and not restored.
        merged: An offset, and the stream up to it, compacted for replays.
        merging: Held while `merged` is being extended.
    """

    def __init__(self, *, end: int = 0, outcome: Outcome | None = None) -> None:
        self.end = end
        self.outcome = outcome
        self.lost = False
        self.merged: tuple[int, list[bytes]] = (0, [])
        self.merging = asyncio.Lock()
        self.keep_all = False  # it is a producer's, which may have to write them all again
        self._frames: list[bytes] = []
        # An ordered set, one for each viewer that is up to date.
        self._listeners: dict[Callable[[], None], None] = {}

    @property
    def start(self) -> int:
        """The lowest cursor after which this process has every frame."""
        return self.end - len(self._frames)

    @property
    def newest(self) -> bytes:
        """The frame at `end`, which must be in this process."""
        return self._frames[-1]

    def extend(self, frames: Sequence[bytes], *, last: int, outcome: Outcome | None = None) -> bool:
        """Add the frames that end at offset `last`, except those already known.

        Returns:
            False, with nothing added, if there is a gap between what is known and these frames.
        """
        fresh = last - self.end
        if fresh > len(frames):
            return False
        if fresh > 0:
            self._frames.extend(frames[len(frames) - fresh :])
            self.end = last
            if not self.keep_all and len(self._frames) > 2 * _KEPT:
                del self._frames[:-_KEPT]
        if outcome is not None:
            if last < self.end:
                self.lose()  # the store fell back, and the stream ended before what was seen here
                return True
            self.outcome = outcome
        if fresh > 0 or outcome is not None:
            self._wake()
        return True

    def append(self, frames: list[bytes], *, outcome: Outcome | None) -> None:
        """Add what the producer in this process has just made durable."""
        self._frames += frames
        self.end += len(frames)
        self.outcome = outcome
        if frames or outcome is not None:
            self._wake()

    def adopt(self, frames: list[bytes]) -> None:
        """Become the tail of a producer in this process: hold the whole stream, and keep it."""
        self._frames, self.end, self.keep_all = frames, len(frames), True
        self._wake()

    def skip(self, *, to: int) -> None:
        """Move the end to `to` without holding any frames: viewers read them from the log."""
        self._frames, self.end = [], to
        self._wake()

    def lose(self) -> None:
        """Give the stream up, and wake everyone who waits for more of it."""
        self.lost = True
        self._wake()

    def frames(self, *, after: int, limit: int | None = None) -> list[bytes]:
        """Return the frames after offset `after`, which must not be below `start`."""
        begin = after - self.start
        return self._frames[begin:] if limit is None else self._frames[begin : begin + limit]

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each change, until it is dismissed."""
        self._listeners[listener] = None

    def dismiss(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`."""
        self._listeners.pop(listener, None)

    def has_news(self, cursor: int) -> bool:
        """Return whether anything follows `cursor`, or nothing ever will."""
        return self.end > cursor or self.outcome is not None or self.lost

    async def wait_for_news(self, cursor: int) -> None:
        """Wait until anything follows `cursor`, or nothing ever will."""
        if self.has_news(cursor):
            return
        waiter = asyncio.get_running_loop().create_future()

        def listener() -> None:
            if self.has_news(cursor) and not waiter.done():
                waiter.set_result(None)

        self.listen(listener)
        try:
            await waiter
        finally:
            self.dismiss(listener)

    def _wake(self) -> None:
        for listener in tuple(self._listeners):
            listener()
