"""The page's state as one visitor has it, with the real services behind it and no browser."""

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
    """A tab of somebody with a session.

    Attributes:
        identity: Who that is.
    """

    identity: Identity
    _root: State
    _cookie: str

    @classmethod
    async def begin(cls, opened: Services) -> "PageVisit":
        """Somebody new, with a tab of an empty page."""
        guest = await opened.sessions.create_guest()
        cookie = f"{opened.settings.session_cookie}={guest.token}"
        visit = cls(guest.identity, cast("Any", State)(_reflex_internal_init=True), cookie)
        visit.go("/")
        return visit

    def another_tab(self) -> "PageVisit":
        """The same visitor, on another device as it were."""
        tab = PageVisit(self.identity, cast("Any", State)(_reflex_internal_init=True), self._cookie)
        tab.go("/")
        return tab

    def go(self, path: str) -> None:
        """Have that address; what the page does when it is loaded is for the test to call."""
        headers = HeaderData(cookie=self._cookie)
        self._root.router = RouterData(headers=headers, url=ReflexURL(f"http://localhost{path}"))

    async def state(self, kind: type[S]) -> S:
        """Its state of that kind: handlers are called on it as events do."""
        return await self._root.get_state(kind)
