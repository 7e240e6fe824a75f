"""What a producer is given to do, and where the result goes."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from chat_app.generation.llm import Prompt
from chat_app.generation.reply import ReplyId
from chat_app.identity.identity import Identity
from chat_app.streams.model import Outcome, StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a producer is to do.

    Attributes:
        token: Its fencing token.
        reply_id: The id of the message it writes.
        prompt: The chat up to the prompt; its prefix is found in the log.
        parts: What the reply held before, when it is being continued.
        metadata: What was known then of its making.
        checkpoint: The text of the reply at the newest checkpoint.
        tail: How far the log was durable then, or when the reply was saved.
        outcome: Set when the reply is in the database already and only the log is still open.
    """

    token: int
    reply_id: ReplyId
    model: str
    prompt: Prompt
    parts: tuple[dict[str, Any], ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    checkpoint: str = ""
    tail: int = 0
    outcome: Outcome | None = None

    @property
    def takeover(self) -> int:
        """How often the stream was taken over, this time included."""
        return self.token - 1


class ReplyStore(Protocol):
    """Where replies end up. An older token than the newest claim's raises `Fenced`."""

    async def claim(self, identity: Identity, stream_id: StreamId) -> Assignment:
        """Take the stream's generation over from whoever had it."""
        ...

    async def durable_tail(self, identity: Identity, stream_id: StreamId) -> int:
        """How far the log of an open stream is known to have been durable; 0 if that is unknown."""
        ...

    async def still_owner(self, identity: Identity, stream_id: StreamId, *, token: int) -> bool:
        """Whether `token` is that of the newest claim."""
        ...

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, token: int, text: str, tail: int
    ) -> None:
        """Keep the text so far, in case both the producer and the log are lost.

        `tail` is how far the log is durable.
        """
        ...

    async def finish(
        self,
        identity: Identity,
        stream_id: StreamId,
        *,
        token: int,
        outcome: Outcome,
        parts: list[dict[str, Any]] | None = None,
        meta: dict[str, Any] | None = None,
        tail: int | None = None,
    ) -> None:
        """Save the reply and close the stream's row, in one transaction.

        Without parts it is saved as it was at the newest checkpoint. `tail` is how far the log is
        durable, if that is known.
        """
        ...
