"""The rows behind an identity."""

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field, SQLModel


class UserRow(SQLModel, table=True):
    """A user, who owns chats."""

    __tablename__: ClassVar[Any] = "user"

    id: str = Field(primary_key=True, max_length=32)
    created_at: datetime


class LoginSessionRow(SQLModel, table=True):
    """A browser that may act as a user.

    Holds only the SHA-256 of the cookie's token: reading this table does not allow impersonation.
    """

    __tablename__: ClassVar[Any] = "login_session"

    token_hash: str = Field(primary_key=True, max_length=64)
    user_id: str = Field(foreign_key="user.id", ondelete="CASCADE", max_length=32, index=True)
    created_at: datetime
    expires_at: datetime
