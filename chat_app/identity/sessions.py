"""From a cookie's token to an identity."""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chat_app.errors import NotAuthenticated
from chat_app.identity.identity import Identity, UserId
from chat_app.identity.tables import LoginSessionRow, UserRow

_TOKEN_BYTES = 32

Transaction = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Begins a transaction that commits at its end. Raises `DatabaseUnavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that was just created; the server stores only a hash of its token.

    Attributes:
        identity: The user that the token stands for.
        token: URL-safe text for the cookie.
        expires_at: When the token expires.
    """

    identity: Identity
    token: str = field(repr=False)
    expires_at: datetime


class Sessions:
    """Creates session tokens and finds the user that each stands for.

    Guarantees (tests/integration/test_identity_sessions.py):
      Secrecy  the database holds no token, only its SHA-256; tokens have 256 bits of entropy.
      Expiry   a token is refused once it is older than `lifetime`.
    """

    def __init__(self, transaction: Transaction, *, lifetime: timedelta) -> None:
        self._transaction = transaction
        self._lifetime = lifetime

    async def ping(self) -> None:
        """Return if the database answers. Raises `DatabaseUnavailable`."""
        async with self._transaction() as session:
            await session.execute(select(1))

    async def create_guest(self) -> NewSession:
        """Create a new user, and a token that stands for them.

        Raises:
            DatabaseUnavailable: The database is away or locked.
        """
        now = datetime.now(UTC)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        user = UserRow(id=uuid4().hex, created_at=now)
        session_row = LoginSessionRow(
            token_hash=_hash(token),
            user_id=user.id,
            created_at=now,
            expires_at=now + self._lifetime,
        )
        async with self._transaction() as session:
            session.add(user)
            await session.flush()  # the session row refers to it
            session.add(session_row)
        return NewSession(
            identity=Identity(user_id=UserId(user.id)),
            token=token,
            expires_at=session_row.expires_at,
        )

    async def resolve(self, token: str | None) -> Identity:
        """The user that `token` stands for.

        Raises:
            NotAuthenticated: The token is missing, unknown or expired.
            DatabaseUnavailable: The database is away or locked.
        """
        if not token:
            msg = "no session"
            raise NotAuthenticated(msg)
        async with self._transaction() as session:
            row = await session.get(LoginSessionRow, _hash(token))
        if row is None or row.expires_at <= datetime.now(UTC):
            msg = "unknown or expired session"
            raise NotAuthenticated(msg)
        return Identity(user_id=UserId(row.user_id))


def _hash(token: str) -> str:
    """SHA-256 in hex. Unsalted on purpose: a token of 256 random bits cannot be guessed."""
    # A client can send anything as a cookie, even what UTF-8 cannot encode.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
