"""Where chats and generation meet: the chat as a prompt, the reply as a message."""

from collections.abc import Callable
from typing import Any

from chat_app.chats.models import ChatId, Claim, Message
from chat_app.chats.streams import StreamRepository
from chat_app.generation.assignment import Assignment
from chat_app.generation.llm import Prompt, PromptMessage
from chat_app.generation.reply import ReplyId
from chat_app.identity.identity import Identity
from chat_app.streams.model import Outcome, StreamId


class Replies:
    """The database as a producer sees it; implements `generation.assignment.ReplyStore`.

    Args:
        streams: The stream rows.
        on_first_answer: Called with each chat whose first reply is complete.
    """

    def __init__(
        self,
        streams: StreamRepository,
        *,
        on_first_answer: Callable[[Identity, ChatId], None] | None = None,
    ) -> None:
        self._streams = streams
        self._on_first_answer = on_first_answer

    async def claim(self, identity: Identity, stream_id: StreamId) -> Assignment:
        """Take over the stream's generation from whoever had it."""
        claim = await self._streams.claim(identity, stream_id)
        return Assignment(
            token=claim.fencing_token,
            reply_id=ReplyId(claim.reply_id),
            model=claim.model,
            prompt=Prompt(messages=tuple(map(_prompt_message, claim.history))),
            parts=claim.parts,
            metadata=claim.meta,
            checkpoint=claim.checkpoint,
            tail=claim.tail,
            outcome=_outcome(claim),
        )

    async def durable_tail(self, identity: Identity, stream_id: StreamId) -> int:
        """Return how far the log of an open stream was known to be durable; 0 if unknown."""
        return await self._streams.durable_tail(identity, stream_id)

    async def still_owner(self, identity: Identity, stream_id: StreamId, *, token: int) -> bool:
        """Return whether `token` belongs to the newest claim."""
        return await self._streams.is_newest_claim(identity, stream_id, fencing_token=token)

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, token: int, text: str, tail: int
    ) -> None:
        """Save the text so far, in case both the producer and the log are lost."""
        await self._streams.checkpoint(
            identity, stream_id, fencing_token=token, text=text, tail=tail
        )

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
        """Save the reply and close the stream's row, in one transaction."""
        first = await self._streams.finish(
            identity,
            stream_id,
            fencing_token=token,
            parts=parts,
            outcome=outcome.kind,
            error_code=outcome.code,
            meta=meta,
            tail=tail,
        )
        if first is not None and outcome.kind == "completed" and self._on_first_answer is not None:
            self._on_first_answer(identity, first)


def _prompt_message(message: Message) -> PromptMessage:
    return PromptMessage(role=message.role, text=message.text)


def _outcome(claim: Claim) -> Outcome | None:
    if claim.outcome is None:
        return None
    return Outcome(kind=claim.outcome, code=claim.error_code)
