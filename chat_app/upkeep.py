"""Operations on a whole chat: show another branch, rename it, delete it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.errors import ChatNotFound, InvalidRequest, LogUnavailable, StreamNotFound
from chat_app.identity.identity import Identity
from chat_app.streams.log import StreamLog

_logger = logging.getLogger(__name__)

_TITLE_LENGTH = 200
RESTORE_WINDOW = timedelta(seconds=30)
"""How long a discarded chat can be restored; the page offers it for less."""
_INTERVAL = timedelta(seconds=10)


def _now() -> datetime:
    return datetime.now(UTC)


class Upkeep:
    """Changes and deletes chats, for one user at a time.

    Every method raises `ChatNotFound` if the user has no such chat.
    """

    def __init__(self, *, chats: ChatRepository, log: StreamLog) -> None:
        self._chats = chats
        self._log = log

    async def activate(self, identity: Identity, *, chat_id: str, message_id: str) -> None:
        """Show the branch that holds a message, up to the newest message of that branch.

        Raises:
            InvalidRequest: The chat has no such message.
            TurnInProgress: The chat is being answered, and has to show that; carries the stream.
        """
        await self._chats.activate(identity, ChatId(chat_id), message_id=MessageId(message_id))

    async def rename(self, identity: Identity, *, chat_id: str, title: str) -> None:
        """Rename a chat; it keeps its place in the list.

        Raises:
            InvalidRequest: The title is empty, or longer than 200 characters.
        """
        await self._chats.rename(identity, ChatId(chat_id), title=_clean_title(title))

    async def change(
        self,
        identity: Identity,
        *,
        chat_id: str,
        title: str | None = None,
        message_id: str | None = None,
    ) -> None:
        """Rename a chat, show another branch, or both; an invalid title changes nothing.

        Raises:
            InvalidRequest: See `rename` and `activate`.
            TurnInProgress: See `activate`.
        """
        name = None if title is None else _clean_title(title)
        if message_id is not None:
            await self.activate(identity, chat_id=chat_id, message_id=message_id)
        if name is not None:
            await self._chats.rename(identity, ChatId(chat_id), title=name)

    async def delete(self, identity: Identity, *, chat_id: str) -> None:
        """Delete a chat, discarded or not, with its messages, its streams and their logs.

        An open stream is stopped first; its producer ends and leaves nothing behind.

        Raises:
            LogUnavailable: The store does not answer; the chat is still there.
        """
        newest = await self._chats.newest_stream(identity, ChatId(chat_id), discarded=True)
        await self._log.ping()
        if newest is not None and newest.open:
            with suppress(StreamNotFound):  # nobody writes it yet, and nobody will
                await self._log.request_stop(newest.id)
        # The rows first: a producer that finds its log gone checks them before it writes again.
        streams = await self._chats.delete(identity, ChatId(chat_id))
        try:
            for stream_id in streams:
                await self._log.delete(stream_id)
        except LogUnavailable as error:
            _logger.warning("logs of a deleted chat are left to expire: %s", error)


def _clean_title(title: str) -> str:
    title = " ".join(title.replace("\0", "").encode(errors="replace").decode().split())
    if not 0 < len(title) <= _TITLE_LENGTH:
        raise InvalidRequest(f"a title must have 1 to {_TITLE_LENGTH} characters")
    return title


class Bin:
    """Deletes chats that were discarded and not restored in time.

    A chat is discarded in the database, so it disappears from every device at once. It is deleted
    by a server, so it goes for good whatever has become of the page that discarded it.

    Args:
        upkeep: Deletes the chats.
        housekeeping: The database across users.
        interval: The time between two rounds.
        clock: The current time, as in the database.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        housekeeping: Housekeeping,
        *,
        interval: timedelta = _INTERVAL,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._upkeep = upkeep
        self._housekeeping = housekeeping
        self._interval = interval.total_seconds()
        self._clock = clock

    async def run(self) -> None:
        """Empty the bin at intervals until cancelled."""
        while True:
            try:
                await self.empty()
            except LogUnavailable as error:
                _logger.warning("deleting discarded chats failed, will retry: %s", error)
            except Exception:  # outermost frame of its task; the next round may succeed
                _logger.exception("deleting discarded chats failed")
            await asyncio.sleep(self._interval)

    async def empty(self) -> None:
        """Run one round.

        Raises:
            LogUnavailable: The store does not answer; the rest follows in a later round.
        """
        before = self._clock() - RESTORE_WINDOW
        for user_id, chat_id in await self._housekeeping.discarded_chats(before=before):
            with suppress(ChatNotFound):  # another process was quicker
                await self._upkeep.delete(Identity(user_id=user_id), chat_id=chat_id)
