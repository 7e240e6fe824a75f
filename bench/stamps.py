"""What a delta of the synthetic source contains, and how a viewer counts it.

A delta is `<number>@<due> `, 24 bytes: its number in its stream, from 1, and when it was due, in
microseconds of CLOCK_MONOTONIC, which all processes on a machine share. Latency counts from the
due time, so a source, a server or a viewer that falls behind cannot hide it (no coordinated
omission).
"""

import re
from array import array
from collections.abc import Sequence

STAMP = re.compile(rb"(\d{8})@(\d{14}) ")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NUMBER = re.compile(rb"(\d{8})@\d{14} ")
_BRIEF = re.compile(rb"([0-9a-z]{3})@")
_MARK = b"@"  # once in each delta, and nowhere else on the wire
_FRAME_END = b"\n\n"


def due_mark(due: int) -> str:
    """Return the part of the text that all deltas due at `due` µs share."""
    return f"@{due:014d} "


def stamp(number: int, *, mark: str) -> str:
    """Return the text of delta `number`."""
    return f"{number:08d}{mark}"


def brief_stamp(number: int) -> str:
    """Return the text of delta `number` in four characters, about the length of a token."""
    digits = ""
    for _ in range(3):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return f"{digits}@"


class Latencies:
    """The latencies, in µs from due to seen, of the deltas due within a window.

    Attributes:
        begin: Start of the window, in µs of CLOCK_MONOTONIC.
        end: End of the window.
        arrived: Deltas seen so far, whenever they were due.
    """

    def __init__(self, *, begin: int, end: int) -> None:
        self.begin, self.end = begin, end
        self.arrived = 0
        self.values = array("q")

    def add(self, due: int, *, now: int) -> None:
        """Record one delta if it was due within the window."""
        if self.begin <= due < self.end:
            self.values.append(now - due)


class Tally:
    """Counts the deltas that one viewer receives, with their gaps and repeats.

    Without latencies, the detailed count waits until `settle`: a viewer that receives a megabyte
    at once must not be slower than the server.

    Attributes:
        arrived: Deltas received, whatever their numbers.
        next: The number expected next.
        missing: Numbers that were skipped.
        repeated: Deltas that came again, or late.
    """

    __slots__ = ("_kept", "_latencies", "_partial", "arrived", "missing", "next", "repeated")

    def __init__(self, latencies: Latencies | None) -> None:
        self.next = 1
        self.arrived = self.missing = self.repeated = 0
        self._latencies = latencies
        self._partial = bytearray()  # the beginning of an incomplete frame
        self._kept: list[bytes] = []

    @property
    def seen(self) -> int:
        """How many distinct deltas have come."""
        return self.next - 1 - self.missing

    def take(self, body: bytes, *, now: int) -> None:
        """Count the deltas in the frames that `body` completes, seen at `now` µs."""
        if self._latencies is None:
            self.arrived += body.count(_MARK)
            self._kept.append(body)
            return
        if self._partial or not body.endswith(_FRAME_END):
            body = self._complete(body)
        stamps = STAMP.findall(body)
        self.arrived += len(stamps)
        self._latencies.arrived += len(stamps)
        for number, due in stamps:
            self._count(int(number))
            self._latencies.add(int(due), now=now)

    def settle(self) -> None:
        """Count the deltas whose count was deferred."""
        body, self._kept = b"".join(self._kept), []
        numbers = list(map(int, _NUMBER.findall(body)))
        numbers = numbers or [int(number, 36) for number in _BRIEF.findall(body)]
        if numbers == list(range(self.next, self.next + len(numbers))):
            self.next += len(numbers)
            return
        for number in numbers:
            self._count(number)

    def _complete(self, body: bytes) -> bytes:
        self._partial += body
        cut = self._partial.rfind(_FRAME_END, max(0, len(self._partial) - len(body) - 1)) + 2
        if cut < 2:
            return b""
        frames = bytes(self._partial[:cut])
        del self._partial[:cut]
        return frames

    def _count(self, number: int) -> None:
        if number == self.next:
            self.next += 1
        elif number > self.next:
            self.missing += number - self.next
            self.next = number + 1
        else:
            self.repeated += 1


def percentile(ordered: Sequence[int], share: float) -> float:
    """Return the value that `share` (0 … 1) of the `ordered` values do not exceed: nearest rank."""
    if not ordered:
        return float("nan")
    rank = max(1, -(-len(ordered) * share // 1))
    return float(ordered[int(rank) - 1])
