"""The page's state for one visitor, with real services behind it and no browser."""

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import reflex as rx
from reflex.istate.data import HeaderData, ReflexURL, RouterData
from reflex.state import State

from chat_app.bootstrap import Services
from chat_app.identity.identity import Identity

S = TypeVar("S", bound=rx.State)


@dataclass(frozen=True)
class PageVisit:
    """A tab of a visitor who has a session.

    Attributes:
        identity: The visitor.
    """

    identity: Identity
    _root: State
    _cookie: str

    @classmethod
    async def begin(cls, opened: Services) -> "PageVisit":
        """Create a new visitor with a tab on an empty page."""
        guest = await opened.sessions.create_guest()
        cookie = f"{opened.settings.session_cookie}={guest.token}"
        visit = cls(guest.identity, cast("Any", State)(_reflex_internal_init=True), cookie)
        visit.go("/")
        return visit

    def another_tab(self) -> "PageVisit":
        """Open another tab for the same visitor, as on another device."""
        tab = PageVisit(self.identity, cast("Any", State)(_reflex_internal_init=True), self._cookie)
        tab.go("/")
        return tab

    def go(self, path: str) -> None:
        """Change the tab's address; the test itself calls what the page does on load."""
        headers = HeaderData(cookie=self._cookie)
        self._root.router = RouterData(headers=headers, url=ReflexURL(f"http://localhost{path}"))

    async def state(self, kind: type[S]) -> S:
        """Return the tab's state of that kind; calling its handlers stands for events."""
        return await self._root.get_state(kind)
