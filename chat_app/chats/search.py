"""Finding chats by what was said in them.

Each title and each message is stored a second time in a folded form, in which neither case nor
width nor white space makes a difference. A search is `LIKE` on those columns: the same answer on
every database, in every script. It reads all that the user has: milliseconds for thousands of
messages, and nothing to keep in step.
"""

import re
import unicodedata
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, or_, select

from chat_app.chats.models import ChatId, FoundChat
from chat_app.chats.tables import ChatRow, MessageRow
from chat_app.identity.identity import Identity

_WORDS = 8
"""More of them make a search no better, only slower."""
_BEFORE, _EXCERPT = 24, 90
"""Characters of an excerpt: before what was found, and all in all."""


def folded(text: str) -> str:
    """`text` as it is searched: one line, without case, width or composition of its letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def searchable(parts: list[dict[str, Any]]) -> str:
    """What can be found of a message: what was said, not what was thought."""
    return folded(" ".join(part["text"] for part in parts if part.get("type") == "text"))


async def found_chats(
    session: AsyncSession, identity: Identity, query: str, *, limit: int
) -> tuple[FoundChat, ...]:
    """See `ChatList.search`."""
    words = folded(query.replace("\0", "")).split()[:_WORDS]
    if not words:
        return ()
    chats = select(ChatRow).where(
        ChatRow.user_id == identity.user_id, col(ChatRow.discarded_at).is_(None)
    )
    for word in words:
        said = select(MessageRow.id).where(MessageRow.chat_key == ChatRow.key, _holds(word))
        titled = col(ChatRow.searchable).contains(word, autoescape=True)
        chats = chats.where(or_(titled, said.exists()))
    chats = chats.order_by(col(ChatRow.updated_at).desc(), col(ChatRow.key)).limit(limit)
    found = list(await session.scalars(chats))
    excerpts = await _excerpts(session, found, words)
    return tuple(
        FoundChat(id=ChatId(chat.id), title=chat.title, excerpt=excerpts.get(chat.key, ""))
        for chat in found
    )


def _holds(word: str) -> ColumnElement[bool]:
    return col(MessageRow.searchable).contains(word, autoescape=True)


async def _excerpts(
    session: AsyncSession, chats: list[ChatRow], words: list[str]
) -> dict[str, str]:
    """Of each chat where it says one of the words, around that word; the newest such message."""
    newest = (
        select(MessageRow.chat_key, func.max(MessageRow.position).label("position"))
        .where(col(MessageRow.chat_key).in_([chat.key for chat in chats]), or_(*map(_holds, words)))
        .group_by(col(MessageRow.chat_key))
        .subquery()
    )
    messages = await session.scalars(
        select(MessageRow).join(
            newest,
            (col(MessageRow.chat_key) == newest.c.chat_key)
            & (col(MessageRow.position) == newest.c.position),
        )
    )
    return {message.chat_key: _excerpt(message, words) for message in messages}


def _excerpt(message: MessageRow, words: list[str]) -> str:
    said = "".join(part["text"] for part in message.parts if part.get("type") == "text")
    text = " ".join(said.split())
    places = [match.start() for word in words if (match := _place(word, text))]
    begin = max(0, min(places, default=0) - _BEFORE)
    end = begin + _EXCERPT
    return f"{'…' * (begin > 0)}{text[begin:end].strip()}{'…' * (end < len(text))}"


def _place(word: str, text: str) -> re.Match[str] | None:
    """Where a word is in a text that is not folded; a rare letter may hide it."""
    return re.search(re.escape(word), text, re.IGNORECASE)
