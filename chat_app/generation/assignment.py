"""What a producer has to write, and where it saves the reply."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from chat_app.generation.llm import Prompt
from chat_app.generation.reply import ReplyId
from chat_app.identity.identity import Identity
from chat_app.streams.model import Outcome, StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One generation, as handed to its producer.

    Attributes:
        token: The producer's fencing token.
        reply_id: The id of the message it writes.
        prompt: The chat up to the prompt, without a prefix: that comes from the log.
        parts: The reply as the database has it: before it was continued, or as it was saved.
        metadata: How those parts were made.
        checkpoint: The text of the reply at the newest checkpoint.
        tail: The offset up to which the log was durable then, or when the reply was saved.
        outcome: Set if the reply is already saved and at most the log is still open.
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
        """How many times the stream has been taken over, this time included."""
        return self.token - 1


class ReplyStore(Protocol):
    """Where replies are saved. Writing with a token older than the newest raises `Fenced`."""

    async def claim(self, identity: Identity, stream_id: StreamId) -> Assignment:
        """Take over the stream's generation from its previous producer, if there was one."""
        ...

    async def durable_tail(self, identity: Identity, stream_id: StreamId) -> int:
        """The newest offset known durable in an open stream's log; 0 if unknown or closed."""
        ...

    async def still_owner(self, identity: Identity, stream_id: StreamId, *, token: int) -> bool:
        """Whether `token` belongs to the newest claim."""
        ...

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, token: int, text: str, tail: int
    ) -> None:
        """Save the text so far, in case both the producer and the log are lost.

        `tail` is the offset up to which the log is durable.
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

        Without `parts`, the reply is saved as of the newest checkpoint. `tail` is the offset up to
        which the log is durable, if known.
        """
        ...
