"""A chat as a line of the list, and how pages of lines fit together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chat_app.chats.models import ChatSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChat:
    """A chat as a line of the list.

    Attributes:
        updated_at: When something last happened in it, in ISO 8601; the browser knows which day
            that was for the reader.
    """

    id: str
    title: str
    updated_at: str
    answering: bool
    unread: bool
    pinned: bool


def listed(chat: ChatSummary) -> ListedChat:
    """`chat` as a line."""
    return ListedChat(
        id=chat.id,
        title=chat.title,
        updated_at=chat.updated_at.isoformat(),
        answering=chat.answering,
        unread=chat.unread,
        pinned=chat.pinned,
    )


def lines_after(
    first: Sequence[ListedChat], known: Iterable[ListedChat], *, excluding: Iterable[ListedChat]
) -> list[ListedChat]:
    """The `known` lines that come after a first page that has been reread.

    Args:
        first: That page.
        known: The lines listed so far, in order.
        excluding: The lines listed elsewhere.
    """
    shown = {chat.id for chat in [*first, *excluding]}
    oldest = first[-1].updated_at if first else ""
    return [chat for chat in known if chat.id not in shown and chat.updated_at <= oldest]
