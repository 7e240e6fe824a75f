"""What a producer is given to do, and where the result goes."""

from dataclasses import dataclass
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
        checkpoint: The text of the reply as the database has it, in case the log has none.
        outcome: Set when the reply is in the database already and only the log is still open.
    """

    token: int
    reply_id: ReplyId
    model: str
    prompt: Prompt
    checkpoint: str = ""
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

    async def still_owner(self, identity: Identity, stream_id: StreamId, *, token: int) -> bool:
        """Whether `token` is that of the newest claim."""
        ...

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, token: int, text: str
    ) -> None:
        """Keep the text so far, in case both the producer and the log are lost."""
        ...

    async def finish(
        self,
        identity: Identity,
        stream_id: StreamId,
        *,
        token: int,
        parts: list[dict[str, Any]],
        outcome: Outcome,
        meta: dict[str, Any],
    ) -> None:
        """Save the reply and close the stream's row, in one transaction."""
        ...
