"""The newest part of a stream, in this process, shared by everyone who looks at it."""

import asyncio
from collections.abc import Callable, Sequence

from chat_app.streams.model import Outcome

_KEPT = 1024
"""Frames kept of a stream that is produced elsewhere; a viewer that lags more re-reads the log."""


class Tail:
    """Frames up to the tail, and how to wait for more.

    A viewer holds a cursor, never a queue: what it has not taken yet costs nothing, however slow
    it is. All viewers share the same frames.

    Attributes:
        end: The newest offset known here.
        outcome: None while the stream is open.
        lost: The store has forgotten the stream and nobody has written it again.
        merged: The beginning of the stream, compacted for a replay, and the offset it goes to.
        merging: Held by whoever extends that.
    """

    def __init__(self, *, end: int = 0, outcome: Outcome | None = None) -> None:
        self.end = end
        self.outcome = outcome
        self.lost = False
        self.merged: tuple[int, list[bytes]] = (0, [])
        self.merging = asyncio.Lock()
        self.keep_all = False  # the producer's own: it may have to publish them all again
        self._frames: list[bytes] = []
        # One per viewer that is up to date: a set that keeps its order.
        self._listeners: dict[Callable[[], None], None] = {}

    @property
    def start(self) -> int:
        """The cursor from which this process has every frame."""
        return self.end - len(self._frames)

    @property
    def newest(self) -> bytes:
        """The frame at `end`, if this process has it."""
        return self._frames[-1]

    def extend(self, frames: Sequence[bytes], *, last: int, outcome: Outcome | None = None) -> bool:
        """Take the frames that end at offset `last`; what is known already is passed over.

        Returns:
            False if there is a gap between what is known and these frames: nothing was taken.
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
                self.lose()  # the store went back, and the stream has ended otherwise than it was seen
                return True
            self.outcome = outcome
        if fresh > 0 or outcome is not None:
            self._wake()
        return True

    def append(self, frames: list[bytes], *, outcome: Outcome | None) -> None:
        """Take what the producer of this process has just made durable."""
        self._frames += frames
        self.end += len(frames)
        self.outcome = outcome
        if frames or outcome is not None:
            self._wake()

    def adopt(self, frames: list[bytes]) -> None:
        """Become the tail of this process' own producer: hold the whole stream, and keep it."""
        self._frames, self.end, self.keep_all = frames, len(frames), True
        self._wake()

    def skip(self, *, to: int) -> None:
        """Know that the stream has got to `to`, and hold nothing: the log has it all."""
        self._frames, self.end = [], to
        self._wake()

    def lose(self) -> None:
        """Give the stream up: whoever waits for more of it will not get it here."""
        self.lost = True
        self._wake()

    def frames(self, *, after: int, limit: int | None = None) -> list[bytes]:
        """The frames behind `after`, which must not lie before `start`."""
        begin = after - self.start
        return self._frames[begin:] if limit is None else self._frames[begin : begin + limit]

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever there is something new, until it is dismissed."""
        self._listeners[listener] = None

    def dismiss(self, listener: Callable[[], None]) -> None:
        """Call `listener` no more."""
        self._listeners.pop(listener, None)

    def behind(self, cursor: int) -> bool:
        """Whether there is something behind `cursor`, or nothing will ever be."""
        return self.end > cursor or self.outcome is not None or self.lost

    async def beyond(self, cursor: int) -> None:
        """Return when there is something behind `cursor`, or nothing will ever be."""
        if self.behind(cursor):
            return
        waiter = asyncio.get_running_loop().create_future()

        def listener() -> None:
            if self.behind(cursor) and not waiter.done():
                waiter.set_result(None)

        self.listen(listener)
        try:
            await waiter
        finally:
            self.dismiss(listener)

    def _wake(self) -> None:
        for listener in tuple(self._listeners):
            listener()
