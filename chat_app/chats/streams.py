"""Streams as the generation sees them: claim, checkpoint, finish."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chat_app.chats.closing import close
from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, Claim, Message, MessageId
from chat_app.chats.queries import (
    is_possible_id,
    lock_stream,
    message_of,
    not_found,
    outcome_of,
)
from chat_app.chats.tables import ChatRow, StreamRow
from chat_app.chats.tree import find_message, path_to
from chat_app.errors import Fenced
from chat_app.identity.identity import Identity
from chat_app.streams.model import OutcomeKind, StreamId

_CLAIMED = "another producer has claimed the stream"


class StreamRepository:
    """The rows that a generation reads and writes, on behalf of the chat's owner.

    Guarantees (tests/integration/test_chats_streams.py):
      Fencing    after a claim nothing is written with an older token.
      Atomicity  closing a stream and saving its reply is one step, and happens only once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, identity: Identity, stream_id: StreamId) -> Claim:
        """Become the only producer of a stream.

        A closed stream can be claimed too, with a new token: its producer may have died between
        closing the row and closing the log. A claim counts as a sign of life.

        Raises:
            ChatNotFound: No such stream for this user.
        """
        async with self._database.writing() as session:
            found = await lock_stream(session, identity, stream_id)
            if found is None:
                raise not_found()
            chat, stream = found
            stream.fencing_token += 1
            stream.checkpointed_at = datetime.now(UTC)
            continued = await find_message(session, chat, stream.reply_id)
            return Claim(
                stream_id=StreamId(stream.id),
                fencing_token=stream.fencing_token,
                reply_id=MessageId(stream.reply_id),
                model=stream.model,
                history=await _history(session, stream),
                parts=() if continued is None else tuple(continued.parts),
                meta={} if continued is None else continued.meta,
                checkpoint=stream.checkpoint,
                tail=stream.tail,
                outcome=outcome_of(stream),
                error_code=stream.error_code,
            )

    async def durable_tail(self, identity: Identity, stream_id: StreamId) -> int:
        """The newest offset known durable in an open stream's log; 0 if unknown or closed.

        Raises:
            ChatNotFound: No such stream for this user.
        """
        _, tail, outcome = await self._progress(identity, stream_id)
        return tail if outcome is None else 0

    async def is_newest_claim(
        self, identity: Identity, stream_id: StreamId, *, fencing_token: int
    ) -> bool:
        """Whether nobody else has claimed or closed the stream since the claim with this token.

        Raises:
            ChatNotFound: No such stream for this user.
        """
        token, _, _ = await self._progress(identity, stream_id)
        return token == fencing_token

    async def _progress(
        self, identity: Identity, stream_id: StreamId
    ) -> tuple[int, int, OutcomeKind | None]:
        """Token, tail and outcome; not the text, which may be long."""
        query = (
            select(StreamRow.fencing_token, StreamRow.tail, StreamRow.outcome)
            .join(ChatRow, col(ChatRow.key) == StreamRow.chat_key)
            .where(StreamRow.id == stream_id, ChatRow.user_id == identity.user_id)
        )
        async with self._database.reading() as session:
            found = (await session.execute(query)).first() if is_possible_id(stream_id) else None
        if found is None:
            raise not_found()
        token, tail, outcome = found
        return token, tail, outcome

    async def checkpoint(
        self, identity: Identity, stream_id: StreamId, *, fencing_token: int, text: str, tail: int
    ) -> None:
        """Save the reply so far, in case its producer dies and its log is lost.

        Nothing happens if this claim has closed the stream: the reply is saved by then.

        Args:
            identity: The owner of the chat.
            stream_id: The stream.
            fencing_token: The producer's claim.
            text: The whole text of the reply so far, without NUL.
            tail: The offset up to which the log is durable.

        Raises:
            Fenced: Somebody else has claimed or closed the stream since.
            ChatNotFound: No such stream for this user.
        """
        owned = select(ChatRow.key).where(ChatRow.user_id == identity.user_id)
        # One statement that reads nothing: this is the one write that happens all the time.
        written = (
            update(StreamRow)
            .where(
                col(StreamRow.id) == stream_id,
                col(StreamRow.chat_key).in_(owned),
                col(StreamRow.fencing_token) == fencing_token,
                col(StreamRow.outcome).is_(None),
            )
            .values(checkpoint=text, tail=tail, checkpointed_at=datetime.now(UTC))
            .returning(col(StreamRow.id))
        )
        async with self._database.writing() as session:
            if is_possible_id(stream_id) and await session.scalar(written) is not None:
                return
            found = await lock_stream(session, identity, stream_id)
            if found is None:
                raise not_found()
            _, stream = found
            if stream.fencing_token != fencing_token:
                raise Fenced(_CLAIMED)

    async def finish(
        self,
        identity: Identity,
        stream_id: StreamId,
        *,
        fencing_token: int,
        outcome: OutcomeKind,
        parts: list[dict[str, Any]] | None = None,
        error_code: str | None = None,
        meta: dict[str, Any] | None = None,
        tail: int | None = None,
    ) -> ChatId | None:
        """Close a stream and save its reply. Repeated with the same token, it does nothing.

        Args:
            identity: The owner of the chat.
            stream_id: The stream.
            fencing_token: The producer's claim.
            outcome: How the generation ended.
            parts: The whole reply, as on the wire, without NUL; None for as much of it as the
                database has. If there are no parts, there will be no message.
            error_code: Why it failed.
            meta: How the reply was made, besides the model; None to keep what the database has.
            tail: The offset up to which the log is durable; None to keep the last one known.

        Returns:
            The chat, if this was its first stream.

        Raises:
            Fenced: Somebody else has claimed or closed the stream since.
            ChatNotFound: No such stream for this user.
        """
        async with self._database.writing() as session:
            found = await lock_stream(session, identity, stream_id)
            if found is None:
                raise not_found()
            chat, stream = found
            if stream.fencing_token != fencing_token:
                raise Fenced(_CLAIMED)
            if stream.outcome is None:
                stream.tail = stream.tail if tail is None else tail
                await close(
                    session,
                    chat,
                    stream,
                    parts=parts,
                    outcome=outcome,
                    error_code=error_code,
                    meta=meta,
                )
            return ChatId(chat.id) if stream.position == 1 else None


async def _history(session: AsyncSession, stream: StreamRow) -> tuple[Message, ...]:
    rows = await session.scalars(path_to(stream.chat_key, stream.prompt_id))
    return tuple(message_of(row) for row in rows)
