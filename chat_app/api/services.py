"""What the routes need, put into `app.state` by the composition root."""

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request

from chat_app.api.sse import Viewers
from chat_app.chats.repository import ChatRepository
from chat_app.identity.sessions import Sessions
from chat_app.rates import Rates
from chat_app.turns import Turns
from chat_app.upkeep import Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The opened parts behind the routes, and their settings.

    Attributes:
        lifetime: How long a viewer's connection may last; None for any time.
    """

    sessions: Sessions
    chats: ChatRepository
    turns: Turns
    upkeep: Upkeep
    rates: Rates
    session_cookie: str
    session_lifetime: timedelta
    secure_cookies: bool
    heartbeat: timedelta
    lifetime: timedelta | None
    viewers: Viewers


def api(request: Request) -> Api:
    """The parts behind the routes."""
    return request.app.state.api
