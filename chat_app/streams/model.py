"""The values that the durable log takes and returns."""

from dataclasses import dataclass
from typing import Literal, NewType

StreamId = NewType("StreamId", str)

OutcomeKind = Literal["completed", "stopped", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a stream closed.

    Attributes:
        code: The stable code of the error, for `failed`.
    """

    kind: OutcomeKind
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.code}" if self.code else self.kind

    @classmethod
    def parse(cls, text: str) -> "Outcome":
        """Read what `str(outcome)` wrote."""
        kind, _, code = text.partition(":")
        return cls(kind=kind, code=code or None)  # pyright: ignore[reportArgumentType] # ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive events, ready to send.

    Attributes:
        last: The offset of its newest event: the consumer's next cursor.
        data: The events' SSE frames, in order.
    """

    last: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """The state of a stream at one moment.

    Attributes:
        tail: The newest offset; 0 while there are no events.
        outcome: None while the stream is open.
        stop_requested: Whether the producer has been asked to end it.
    """

    tail: int
    outcome: Outcome | None = None
    stop_requested: bool = False
