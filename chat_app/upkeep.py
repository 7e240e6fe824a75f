"""What is done to a chat as a whole: another branch, another name, the end."""

import logging
from contextlib import suppress

from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.errors import InvalidRequest, LogUnavailable, StreamNotFound
from chat_app.identity.identity import Identity
from chat_app.streams.log import StreamLog

_logger = logging.getLogger(__name__)

_TITLE_LENGTH = 200


class Upkeep:
    """Looks after the chats of one user at a time.

    Every method raises `ChatNotFound` for a chat that is not the user's, or not there.
    """

    def __init__(self, *, chats: ChatRepository, log: StreamLog) -> None:
        self._chats = chats
        self._log = log

    async def activate(self, identity: Identity, *, chat_id: str, message_id: str) -> None:
        """Show the branch through a message, up to the newest message of that branch.

        Raises:
            InvalidRequest: The chat has no such message.
            TurnInProgress: The chat is being answered, and shows that; carries the stream.
        """
        await self._chats.activate(identity, ChatId(chat_id), message_id=MessageId(message_id))

    async def rename(self, identity: Identity, *, chat_id: str, title: str) -> None:
        """Call a chat something else; its place in the list stays.

        Raises:
            InvalidRequest: The title is empty, or longer than 200 characters.
        """
        title = " ".join(title.replace("\0", "").encode(errors="replace").decode().split())
        if not 0 < len(title) <= _TITLE_LENGTH:
            raise InvalidRequest(f"a title has 1 to {_TITLE_LENGTH} characters")
        await self._chats.rename(identity, ChatId(chat_id), title=title)

    async def delete(self, identity: Identity, *, chat_id: str) -> None:
        """Remove a chat with its messages, its streams and their logs.

        What is being answered is stopped first; its producer ends without a trace.

        Raises:
            LogUnavailable: The store does not answer; the chat is still there.
        """
        newest = await self._chats.newest_stream(identity, ChatId(chat_id))
        await self._log.ping()
        if newest is not None and newest.open:
            with suppress(StreamNotFound):  # nobody writes it yet, and nobody will
                await self._log.request_stop(newest.id)
        # The rows first: a producer that finds its log gone asks them whether to write it again.
        streams = await self._chats.delete(identity, ChatId(chat_id))
        try:
            for stream_id in streams:
                await self._log.delete(stream_id)
        except LogUnavailable as error:
            _logger.warning("logs of a deleted chat are left to expire: %s", error)
