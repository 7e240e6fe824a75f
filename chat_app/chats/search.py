"""Finds chats by what was said in them.

Each title and each message is stored a second time in a folded form, in which case, width and white
space make no difference. A search is `LIKE` on those columns: it gives the same answer on every
database and in every script. It reads everything the user has, which takes milliseconds for
thousands of messages, and there is no index to keep up to date.
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

_MAX_WORDS = 8
"""Words of a query that are searched for: more make a search no better, only slower."""
_LEAD_CHARS, _EXCERPT_CHARS = 24, 90
"""Characters of an excerpt: before the match, and in total."""


def folded(text: str) -> str:
    """`text` as it is searched: on one line, folded for case, width and composition of letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def searchable(parts: list[dict[str, Any]]) -> str:
    """The text of a message as it is searched: what was said, without the reasoning."""
    return folded(" ".join(part["text"] for part in parts if part.get("type") == "text"))


async def search_chats(
    session: AsyncSession, identity: Identity, query: str, *, limit: int
) -> tuple[FoundChat, ...]:
    """See `ChatList.search`."""
    words = folded(query.replace("\0", "")).split()[:_MAX_WORDS]
    if not words:
        return ()
    chats = select(ChatRow).where(
        ChatRow.user_id == identity.user_id, col(ChatRow.discarded_at).is_(None)
    )
    for word in words:
        said = select(MessageRow.id).where(MessageRow.chat_key == ChatRow.key, _contains(word))
        titled = col(ChatRow.searchable).contains(word, autoescape=True)
        chats = chats.where(or_(titled, said.exists()))
    chats = chats.order_by(col(ChatRow.updated_at).desc(), col(ChatRow.key)).limit(limit)
    found = list(await session.scalars(chats))
    excerpts = await _excerpts(session, found, words)
    return tuple(
        FoundChat(id=ChatId(chat.id), title=chat.title, excerpt=excerpts.get(chat.key, ""))
        for chat in found
    )


def _contains(word: str) -> ColumnElement[bool]:
    return col(MessageRow.searchable).contains(word, autoescape=True)


async def _excerpts(
    session: AsyncSession, chats: list[ChatRow], words: list[str]
) -> dict[str, str]:
    """For each chat's key, an excerpt of the newest message that has one of the words."""
    newest = (
        select(MessageRow.chat_key, func.max(MessageRow.position).label("position"))
        .where(
            col(MessageRow.chat_key).in_([chat.key for chat in chats]), or_(*map(_contains, words))
        )
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
    starts = [match.start() for word in words if (match := _match(word, text))]
    begin = max(0, min(starts, default=0) - _LEAD_CHARS)
    end = begin + _EXCERPT_CHARS
    return f"{'…' * (begin > 0)}{text[begin:end].strip()}{'…' * (end < len(text))}"


def _match(word: str, text: str) -> re.Match[str] | None:
    """Where a folded word is in a text that is not folded; a rare letter may hide it."""
    return re.search(re.escape(word), text, re.IGNORECASE)
