"""The rows behind chats, messages and streams.

A chat has two ids. `id` is public, chosen by the client and unique only among its owner's chats: if
it were unique among all, a collision would reveal that somebody else's chat exists. `key` is
internal; the other tables refer to it.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

KEY_LENGTH = 32
ID_LENGTH = 128
_OPEN = text("outcome IS NULL")


class ChatRow(SQLModel, table=True):
    """A conversation.

    `active_message_id` is the newest message of the branch that is shown: a leaf of the tree. It is
    not a foreign key, because the two tables would then refer to each other. `read_at` is what
    `updated_at` was when the owner last saw the chat. `discarded_at` is set while a chat is
    discarded, until it is restored or deleted. `title_by` says what chose the title: `rule`,
    `model` or `user`. `searchable` is the title in folded form.
    """

    __tablename__: ClassVar[Any] = "chat"
    __table_args__ = (
        UniqueConstraint("user_id", "id", name="uq_chat_user_id_id"),
        Index("ix_chat_user_id_updated_at", "user_id", "updated_at"),
        Index("ix_chat_discarded_at", "discarded_at"),
    )

    key: str = Field(primary_key=True, max_length=KEY_LENGTH)
    user_id: str = Field(foreign_key="user.id", ondelete="CASCADE", max_length=KEY_LENGTH)
    id: str = Field(max_length=ID_LENGTH)
    title: str = Field(sa_type=Text)
    created_at: datetime
    updated_at: datetime
    active_message_id: str | None = Field(default=None, max_length=ID_LENGTH)
    pinned: bool = False
    read_at: datetime | None = None
    discarded_at: datetime | None = None
    title_by: str = Field(default="rule", max_length=16)
    searchable: str = Field(default="", sa_type=Text)


class MessageRow(SQLModel, table=True):
    """A message of a chat.

    `position` numbers the messages of a chat in order of creation, across all branches: 1, 2, 3 …
    `parent_id` is the message it follows, an earlier one; null if it begins the chat. `searchable`
    is its text in folded form.
    """

    __tablename__: ClassVar[Any] = "message"
    __table_args__ = (
        UniqueConstraint("chat_key", "position", name="uq_message_chat_key_position"),
        ForeignKeyConstraint(
            ["chat_key", "parent_id"],
            ["message.chat_key", "message.id"],
            name="fk_message_parent_id",
        ),
        # For the foreign key: without it, removing a message would scan all the others.
        Index("ix_message_chat_key_parent_id", "chat_key", "parent_id"),
    )

    chat_key: str = Field(
        primary_key=True, foreign_key="chat.key", ondelete="CASCADE", max_length=KEY_LENGTH
    )
    id: str = Field(primary_key=True, max_length=ID_LENGTH)
    parent_id: str | None = Field(default=None, max_length=ID_LENGTH)
    role: str = Field(max_length=16)
    parts: list[dict[str, Any]] = Field(sa_type=JSON)
    status: str = Field(max_length=16)
    meta: dict[str, Any] = Field(sa_type=JSON)
    position: int
    created_at: datetime
    searchable: str = Field(default="", sa_type=Text)


class StreamRow(SQLModel, table=True):
    """One generation; open while `outcome` is null.

    `position` numbers the streams of a chat: 1, 2, 3 … Their times cannot order them: two streams
    may have the same time, or times from two machines. `tail` is the offset up to which the log was
    durable at the newest checkpoint, or when the reply was saved.
    """

    __tablename__: ClassVar[Any] = "stream"
    __table_args__ = (
        UniqueConstraint("chat_key", "position", name="uq_stream_chat_key_position"),
        # At most one open stream in each chat, whatever the application does.
        Index(
            "uq_stream_open_chat_key",
            "chat_key",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    id: str = Field(primary_key=True, max_length=KEY_LENGTH)
    chat_key: str = Field(foreign_key="chat.key", ondelete="CASCADE", max_length=KEY_LENGTH)
    position: int
    prompt_id: str = Field(max_length=ID_LENGTH)
    reply_id: str = Field(max_length=ID_LENGTH)
    model: str = Field(sa_type=Text)
    created_at: datetime
    fencing_token: int = 0
    checkpoint: str = Field(default="", sa_type=Text)
    tail: int = 0
    checkpointed_at: datetime | None = None
    outcome: str | None = Field(default=None, max_length=16)
    error_code: str | None = Field(default=None, max_length=64)
    closed_at: datetime | None = None
