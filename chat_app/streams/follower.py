"""A consumer's side of a stream."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import accumulate

from chat_app.errors import LogUnavailable, OffsetExpired, StreamNotFound
from chat_app.streams import frame
from chat_app.streams.model import Batch
from chat_app.streams.tail import Tail

PAGE, _PAGE_BYTES = 1000, 256 * 1024
"""How many events, and how many bytes unless a single event has more, a lagging consumer gets at
once: a batch for a consumer that has stopped reading stays in memory until that consumer leaves."""

_RETRY = 0.1  # seconds

Fetch = Callable[[int], Awaitable[list[bytes]]]
"""Returns the frames after a cursor; raises `OffsetExpired` if the log does not have them."""


class Follower:
    """One consumer's position in a stream: a cursor, not a queue.

    Iterate over it to get batches until the stream closes, or call `next` with a time limit. A
    cancelled wait loses nothing: the cursor moves only when a batch is handed over.

    Attributes:
        cursor: The offset of the last event handed over.
    """

    def __init__(self, tail: Tail, *, fetch: Fetch, after: int, compact: bool) -> None:
        self.cursor = after
        self._tail = tail
        self._fetch = fetch
        self._compact_until = tail.end if compact else 0
        self._replay: list[bytes] = []  # the rest of it, merged

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> Batch:
        batch = await self.next()
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def next(self) -> Batch | None:
        """Return the next events, or None when the stream is closed and there are no more.

        Raises:
            StreamNotFound: The store has lost the stream, and no producer has restored it.
            OffsetExpired: The stream closed long ago and its log is gone.
            LogUnavailable: The stream is closed, and the store does not answer.
        """
        tail = self._tail
        await tail.wait_for_news(self.cursor)
        if self.cursor >= tail.end:
            if tail.outcome is None:
                raise StreamNotFound("the store has lost this stream")
            return None
        if self.cursor < self._compact_until:
            return await self._compacted(tail)
        frames = _first_page(await self._frames(tail, after=self.cursor))
        self.cursor = last = self.cursor + len(frames)
        return Batch(last=last, data=b"".join(frames))

    async def _compacted(self, tail: Tail) -> Batch:
        """Return a page of the replay, merged as a whole: merging page by page leaves seams."""
        if not self._replay:
            self._replay = await self._merged(tail)
        frames = _first_page(self._replay)
        self._replay = self._replay[len(frames) :]
        self.cursor = frame.offset_of(frames[-1])
        return Batch(last=self.cursor, data=b"".join(frames))

    async def _merged(self, tail: Tail) -> list[bytes]:
        """Merge the replay into as few frames as possible; replays from the start share them."""
        if self.cursor > 0:
            return await self._merge(tail, [], after=self.cursor)
        async with tail.merging:  # only one of those that arrive together merges
            end, merged = tail.merged
            if end < self._compact_until:
                merged = await self._merge(tail, merged, after=end)
                tail.merged = (frame.offset_of(merged[-1]), merged)
        return merged

    async def _merge(self, tail: Tail, merged: list[bytes], *, after: int) -> list[bytes]:
        while after < self._compact_until:
            frames = await self._frames(tail, after=after)
            after += len(frames)
            merged = [*merged, *frames]
        return list(frame.compact(merged))

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each change until `dismiss`: following live needs no task."""
        self._tail.listen(listener)

    def dismiss(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`."""
        self._tail.dismiss(listener)

    def take(self) -> bytes:
        """Return the next events if they are at hand, else nothing; then `next` gets them."""
        tail, cursor = self._tail, self.cursor
        if not tail.start <= cursor < tail.end or cursor < self._compact_until:
            return b""
        if cursor + 1 == tail.end:  # the usual case: the same bytes for all
            self.cursor = tail.end
            return tail.newest
        frames = _first_page(tail.frames(after=cursor, limit=PAGE))
        self.cursor = cursor + len(frames)
        return b"".join(frames)

    @property
    def live(self) -> bool:
        """Whether all events so far have been handed over, and more may follow."""
        return not self._tail.has_news(self.cursor)

    @property
    def closed(self) -> bool:
        """Whether the stream is closed, so that nothing will be added to it."""
        return self._tail.outcome is not None

    @property
    def ended(self) -> bool:
        """Whether the stream is closed and all its events have been handed over."""
        return self.closed and self.cursor >= self._tail.end

    async def _frames(self, tail: Tail, *, after: int) -> list[bytes]:
        """Return the frames after `after`; while the stream is open, try until the log has them."""
        while True:
            try:
                return await self._fetch(after)
            except (LogUnavailable, OffsetExpired):
                if tail.lost or tail.outcome is not None:
                    raise
            await asyncio.sleep(_RETRY)


def _first_page(frames: list[bytes]) -> list[bytes]:
    """Return as many of `frames` as fit a page, at least one."""
    if sum(map(len, frames)) <= _PAGE_BYTES:
        return frames
    sizes = accumulate(map(len, frames))
    return frames[: max(1, sum(size <= _PAGE_BYTES for size in sizes))]
