"""The list of chats."""

from dataclasses import dataclass

import reflex as rx

from chat_app.bootstrap import services
from chat_app.errors import ChatAppError
from chat_app.ui.session import identify
from chat_app.ui.theme import ICON_BUTTON, icon, page_link

_LIMIT = 100
SIDEBAR_ID = "sidebar"

# The sidebar is a popover on a narrow screen; on a wide one hiding it does nothing.
_CLOSE = f"document.getElementById('{SIDEBAR_ID}').hidePopover()"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChat:
    """A chat as a line of the list."""

    id: str
    title: str
    answering: bool


class SidebarState(rx.State):
    """The visitor's chats, newest first."""

    chats: rx.Field[list[ListedChat]] = rx.field(default_factory=list)
    loaded: bool = False

    @rx.event
    async def load_chats(self) -> None:
        """Read the list anew."""
        try:
            identity = await identify(self)
            if identity is None:
                return
            page = await services().chats.list_chats(identity, limit=_LIMIT)
        except ChatAppError:
            return  # the list is no reason to disturb; the conversation says what is wrong
        self.chats = [
            ListedChat(id=chat.id, title=chat.title, answering=chat.answering)
            for chat in page.chats
        ]
        self.loaded = True


def sidebar() -> rx.Component:
    """The list beside the conversation; a drawer on a narrow screen."""
    return rx.el.aside(
        rx.el.div(
            rx.el.span("Chats", class_name="px-2 text-sm font-semibold"),
            rx.el.button(
                icon("M18 6 6 18", "m6 6 12 12"),
                type="button",
                custom_attrs={"popoverTarget": SIDEBAR_ID, "popoverTargetAction": "hide"},
                aria_label="Close the list of chats",
                class_name=f"{ICON_BUTTON} md:hidden",
            ),
            class_name="flex h-11 items-center justify-between",
        ),
        page_link(
            icon("M12 5v14", "M5 12h14"),
            "New chat",
            to="/",
            end=True,
            on_click=rx.call_script(_CLOSE),
            data_testid="new-chat",
            class_name="nav-link font-medium",
        ),
        rx.el.nav(
            rx.cond(SidebarState.loaded, _chats(), _skeleton()),
            aria_label="Chats",
            class_name="-mx-1 min-h-0 flex-1 overflow-y-auto px-1",
        ),
        id=SIDEBAR_ID,
        custom_attrs={"popover": "auto"},
        data_testid="sidebar",
        class_name="sidebar",
    )


def sidebar_button() -> rx.Component:
    """Opens the drawer; only on a narrow screen."""
    return rx.el.button(
        icon("M4 7h16", "M4 12h16", "M4 17h10"),
        type="button",
        custom_attrs={"popoverTarget": SIDEBAR_ID},
        aria_label="Open the list of chats",
        data_testid="open-sidebar",
        class_name=f"{ICON_BUTTON} md:hidden",
    )


def _chats() -> rx.Component:
    return rx.cond(
        SidebarState.chats.length() > 0,
        rx.el.ul(
            rx.foreach(
                SidebarState.chats,
                lambda chat: _line(
                    key=chat.id,
                    chat_id=chat.id,
                    title=chat.title,
                    answering=chat.answering,
                ),
            ),
            class_name="flex flex-col gap-0.5",
        ),
        rx.el.p(
            "Your chats will be listed here.", class_name="px-3 py-2 text-sm text-muted-foreground"
        ),
    )


@rx.memo
def _line(
    rest: rx.RestProp, *, chat_id: rx.Var[str], title: rx.Var[str], answering: rx.Var[bool]
) -> rx.Component:
    return rx.el.li(
        rest,
        page_link(
            rx.el.span(title, class_name="min-w-0 flex-1 truncate"),
            rx.cond(
                answering,
                rx.el.span(rx.el.span("answering", class_name="sr-only"), class_name="live-dot"),
            ),
            to=f"/chat/{chat_id}",
            on_click=rx.call_script(_CLOSE),
            data_testid="chat-link",
            class_name="nav-link",
        ),
    )


def _skeleton() -> rx.Component:
    return rx.el.div(
        *(
            rx.el.div(class_name=f"skeleton mx-3 my-3 h-3.5 {width}")
            for width in ("w-3/4", "w-1/2", "w-2/3")
        ),
        aria_hidden=True,
    )
