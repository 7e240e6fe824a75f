"""A chat as a line of the list, and how pages of lines fit together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chat_app.chats.models import ChatSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChat:
    """A chat as a line of the list.

    Attributes:
        updated_at: When something last happened in it, as ISO 8601; the browser knows what day
            that was for its reader.
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


def behind(
    first: Sequence[ListedChat], known: Iterable[ListedChat], *, but: Iterable[ListedChat]
) -> list[ListedChat]:
    """Those of the `known` lines that come behind a first page that was read anew.

    Args:
        first: That page.
        known: What was listed before, in order.
        but: What is listed elsewhere.
    """
    shown = {chat.id for chat in [*first, *but]}
    oldest = first[-1].updated_at if first else ""
    return [chat for chat in known if chat.id not in shown and chat.updated_at <= oldest]
