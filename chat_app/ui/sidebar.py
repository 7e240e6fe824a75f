"""The list of chats beside the conversation: what it shows, and actions on a whole chat."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import reflex as rx
from reflex.event import EventType

from chat_app.bootstrap import services
from chat_app.chats.models import ChatId, FoundChat
from chat_app.errors import ChatAppError, ChatNotFound, RateLimited
from chat_app.identity.identity import Identity
from chat_app.ui.chat_list import chat_list
from chat_app.ui.chat_list.listed import ListedChat, lines_after, listed
from chat_app.ui.session import identify
from chat_app.ui.theme import ICON_BUTTON, icon, page_link
from chat_app.ui.trouble import NO_TROUBLE, Trouble, explain
from chat_app.upkeep import RESTORE_WINDOW

_PAGE, _MAX_PINNED = 50, 100
_LONGEST_QUERY = 200
SIDEBAR_ID = "sidebar"

# The sidebar is a popover on a narrow screen; on a wide one, hiding it does nothing.
_CLOSE = f"document.getElementById('{SIDEBAR_ID}').hidePopover()"


class SidebarState(rx.State):
    """The visitor's chats, newest first.

    A change sends one page: the others are in a variable of their own.

    Attributes:
        recent: The first page of those that are not pinned; `earlier` has the pages after it.
        more: Whether there are chats after those.
        syncs: How often `sync` has run.
        found: What the search for `found_for` has found.
        open_id: The chat that is open. If it is in the list, `open_title` is its newest title, and
            `open_at` its `updated_at` in ISO 8601; otherwise both are "".
        discarded_id: The chat that was deleted last; it can be restored until `discarded_until`.
    """

    pinned: rx.Field[list[ListedChat]] = rx.field(default_factory=list)
    recent: rx.Field[list[ListedChat]] = rx.field(default_factory=list)
    earlier: rx.Field[list[ListedChat]] = rx.field(default_factory=list)
    more: bool = False
    loaded: bool = False
    syncs: int = 0
    found: rx.Field[list[FoundChat]] = rx.field(default_factory=list)
    found_for: str = ""
    open_id: str = ""
    open_title: str = ""
    open_at: str = ""
    open_answering: bool = False
    discarded_id: str = ""
    discarded_title: str = ""
    discarded_until: datetime = datetime.max.replace(tzinfo=UTC)
    trouble: rx.Field[Trouble] = rx.field(default_factory=lambda: NO_TROUBLE)
    _next: str | None = None

    @rx.event
    async def load_chats(self) -> None:
        """Reread the beginning of the list."""
        if datetime.now(UTC) > self.discarded_until:
            self.expire_undo(self.discarded_id)  # the page that would have done it was closed
        await self._read()

    @rx.event
    async def sync(self) -> None:
        """Bring the list up to date: other devices and ending answers change it too."""
        await self._read()
        self.syncs += 1

    @rx.event
    async def load_more(self) -> None:
        """Add the next page."""
        identity = await self._counted_visitor()
        if identity is None or self._next is None:
            return
        try:
            page = await services().chats.list_chats(
                identity, limit=_PAGE, before=self._next, pinned=False
            )
        except ChatAppError as error:
            self.trouble = explain(error.code)
            return
        known = {chat.id for chat in [*self.recent, *self.earlier]}
        self.earlier = [*self.earlier, *(c for c in map(listed, page.chats) if c.id not in known)]
        self._next, self.more = page.next, page.next is not None

    @rx.event
    async def search(self, query: str) -> None:
        """Find chats by their titles and their messages."""
        identity = await self._counted_visitor()
        if identity is None:
            return
        query = query[:_LONGEST_QUERY]
        try:
            found = await services().chat_list.search(identity, query)
        except ChatAppError as error:
            self.trouble = explain(error.code)
            return
        self.found, self.found_for = list(found), query

    @rx.event
    async def mark_seen(self, chat_id: str) -> None:
        """Mark a chat as read: the reader is looking at it."""
        await self._change(lambda who: services().chat_list.mark_read(who, ChatId(chat_id)))

    @rx.event
    async def rename_chat(self, chat_id: str, title: str) -> None:
        """Give a chat another title."""
        await self._change(lambda who: services().upkeep.rename(who, chat_id=chat_id, title=title))

    @rx.event
    async def pin_chat(self, chat_id: str, pinned: bool) -> None:
        """Pin a chat above the others, or unpin it."""
        if pinned and len(self.pinned) >= _MAX_PINNED:
            self.trouble = explain("too_many_pinned")
            return
        await self._change(
            lambda who: services().chat_list.pin(who, ChatId(chat_id), pinned=bool(pinned))
        )

    @rx.event
    async def discard_chat(self, chat_id: str) -> None:
        """Delete a chat; for a short time it can be restored."""
        title = next((c.title for c in self._listed_chats() if c.id == chat_id), "The chat")
        if await self._change(lambda who: services().chat_list.discard(who, ChatId(chat_id))):
            self.discarded_id, self.discarded_title = chat_id, title
            self.discarded_until = datetime.now(UTC) + RESTORE_WINDOW

    @rx.event
    async def restore_chat(self, chat_id: str) -> None:
        """Restore a chat that was just deleted."""
        self.expire_undo(chat_id)
        await self._change(
            lambda who: services().chat_list.restore(who, ChatId(chat_id)),
            gone=explain("removed"),
        )

    @rx.event
    def expire_undo(self, chat_id: str) -> None:
        """Stop offering a deleted chat back: the time is over, or it was restored."""
        if self.discarded_id == chat_id:
            self.discarded_id = self.discarded_title = ""

    @rx.event
    def dismiss_trouble(self) -> None:
        """Remove the notice about what could not be done."""
        self.trouble = NO_TROUBLE

    async def _visitor(self) -> Identity | None:
        try:
            return await identify(self)
        except ChatAppError:
            return None  # the conversation says what is wrong

    async def _counted_visitor(self) -> Identity | None:
        """Identify the visitor and count the request; None if unknown, or over the limit."""
        identity = await self._visitor()
        try:
            if identity is not None:
                await services().rates.request(identity)
        except RateLimited:
            self.trouble = explain("too_many_requests")
            return None
        return identity

    async def _change(
        self, change: Callable[[Identity], Awaitable[None]], *, gone: Trouble = NO_TROUBLE
    ) -> bool:
        """Make a change and reread the list; say if it was made. `gone` explains a missing chat."""
        identity = await self._counted_visitor()
        if identity is None:
            return False
        try:
            await change(identity)
        except ChatNotFound:
            done, self.trouble = False, gone
        except ChatAppError as error:
            self.trouble = explain(error.code)
            return False
        else:
            done, self.trouble = True, NO_TROUBLE
        await self._read()
        return done

    async def _read(self) -> None:
        identity = await self._visitor()
        if identity is None:
            return
        chats = services().chats
        try:
            pinned = await chats.list_chats(identity, limit=_MAX_PINNED, pinned=True)
            page = await chats.list_chats(identity, limit=_PAGE, pinned=False)
        except ChatAppError:
            return  # the list stays quiet; the conversation says what is wrong
        self._show(list(map(listed, pinned.chats)), list(map(listed, page.chats)), page.next)

    def _show(self, pinned: list[ListedChat], recent: list[ListedChat], after: str | None) -> None:
        """Put a new first page before the pages loaded so far; send only what has changed."""
        known = [*self.recent, *self.earlier] if self.earlier and after is not None else []
        earlier = lines_after(recent, known, excluding=pinned)
        if pinned != self.pinned:
            self.pinned = pinned
        if recent != self.recent:
            self.recent = recent
        if earlier != self.earlier:
            self.earlier = earlier
        if not earlier:
            self._next, self.more = after, after is not None
        self.loaded = True
        self.open_id = self.router.url.path.rstrip("/").rpartition("/")[2]
        line = next((chat for chat in self._listed_chats() if chat.id == self.open_id), None)
        self.open_title, self.open_at = (line.title, line.updated_at) if line else ("", "")
        self.open_answering = line is not None and line.answering

    def _listed_chats(self) -> list[ListedChat]:
        return [*self.pinned, *self.recent, *self.earlier]


def sidebar(
    *foot: rx.Component, shown_at: rx.Var[str] | str, on_news: EventType[()]
) -> rx.Component:
    """The list beside the conversation; a drawer on a narrow screen.

    Args:
        foot: What stands below it.
        shown_at: The open chat's `updated_at` as of what is shown: anything later is unseen.
        on_news: What to do each time the list has been reread.
    """
    return rx.el.aside(
        rx.el.div(
            page_link(
                icon("M12 5v14", "M5 12h14"),
                "New chat",
                to="/",
                end=True,
                on_click=rx.call_script(_CLOSE),
                custom_attrs={"aria-keyshortcuts": "Control+Shift+O Meta+Shift+O"},
                data_testid="new-chat",
                class_name="nav-link flex-1 font-medium",
            ),
            rx.el.button(
                icon("M18 6 6 18", "m6 6 12 12"),
                type="button",
                custom_attrs={"popoverTarget": SIDEBAR_ID, "popoverTargetAction": "hide"},
                aria_label="Close chat list",
                class_name=f"{ICON_BUTTON} md:hidden",
            ),
            class_name="flex items-center gap-1",
        ),
        rx.cond(SidebarState.trouble.code != "", _trouble()),
        chat_list(
            loaded=SidebarState.loaded,
            pinned=SidebarState.pinned,
            recent=SidebarState.recent,
            earlier=SidebarState.earlier,
            more=SidebarState.more,
            syncs=SidebarState.syncs,
            found=SidebarState.found,
            found_for=SidebarState.found_for,
            discarded_id=SidebarState.discarded_id,
            discarded_title=SidebarState.discarded_title,
            shown_at=shown_at,
            on_sync=[SidebarState.sync, on_news],
            on_more=SidebarState.load_more,
            on_search=SidebarState.search,
            on_seen=SidebarState.mark_seen,
            on_rename=SidebarState.rename_chat,
            on_pin=SidebarState.pin_chat,
            on_discard=SidebarState.discard_chat,
            on_restore=SidebarState.restore_chat,
            on_expire=SidebarState.expire_undo,
        ),
        *foot,
        id=SIDEBAR_ID,
        aria_label="Chat list",
        custom_attrs={"popover": "auto"},
        data_testid="sidebar",
        class_name="sidebar",
    )


def _trouble() -> rx.Component:
    return rx.el.div(
        rx.el.span(
            SidebarState.trouble.cause, " ", SidebarState.trouble.remedy, class_name="flex-1"
        ),
        rx.el.button(
            icon("M18 6 6 18", "m6 6 12 12", size=16),
            type="button",
            aria_label="Dismiss",
            on_click=SidebarState.dismiss_trouble,
            class_name=ICON_BUTTON,
        ),
        role="alert",
        class_name="flex items-center gap-1 rounded-lg border border-danger/30 bg-danger/5 py-1 pl-3 text-sm",
    )
