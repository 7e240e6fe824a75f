"""The two pages: a new chat, and a chat."""

import reflex as rx

from chat_app.bootstrap import services
from chat_app.ui.composer import composer
from chat_app.ui.conversation import ConversationState
from chat_app.ui.session import session_gate
from chat_app.ui.sidebar import SidebarState, sidebar, sidebar_button
from chat_app.ui.theme import ALARM, COLUMN, ICON_BUTTON, icon, page_link
from chat_app.ui.transcript import conversation, skeleton

_TITLE = "Chat"
_META = [
    {"name": "description", "content": "A chat whose answers survive a refresh."},
    {"name": "color-scheme", "content": "light dark"},
]


def add_pages(app: rx.App) -> None:
    """Add `/` and `/chat/[chat_id]` to the application."""
    app.add_page(
        chat_page,
        route="/",
        title=_TITLE,
        meta=_META,
        on_load=[ConversationState.start_new_chat, SidebarState.load_chats],
    )
    app.add_page(
        chat_page,
        route="/chat/[chat_id]",
        title=_TITLE,
        meta=_META,
        on_load=[ConversationState.open_chat, SidebarState.load_chats],
    )


def chat_page() -> rx.Component:
    """The whole page; both routes show the same one, so that going from one to the other moves nothing."""
    return rx.el.div(
        session_gate(),
        sidebar(),
        rx.el.main(_header(), conversation(), _foot(), class_name="flex min-w-0 flex-1 flex-col"),
        class_name="flex h-dvh bg-background text-foreground",
    )


def hydrate_fallback() -> rx.Component:
    """What the browser shows before any script has run."""
    return rx.el.div(
        rx.el.div(class_name="sidebar max-md:hidden"),
        rx.el.main(skeleton(), class_name="flex min-w-0 flex-1 flex-col pt-12"),
        class_name="flex h-dvh bg-background text-foreground",
    )


def _header() -> rx.Component:
    return rx.el.header(
        sidebar_button(),
        rx.el.h2(
            ConversationState.title,
            class_name="min-w-0 flex-1 truncate text-sm font-medium text-muted-foreground",
        ),
        page_link(
            icon("M12 5v14", "M5 12h14"),
            to="/",
            aria_label="New chat",
            class_name=f"{ICON_BUTTON} md:hidden",
        ),
        class_name="flex h-12 shrink-0 items-center gap-2 px-2 md:px-4",
    )


def _foot() -> rx.Component:
    return rx.el.footer(
        rx.cond(ConversationState.send_trouble, _send_trouble()),
        composer(
            answering=ConversationState.answering,
            accepted=ConversationState.accepted,
            refusals=ConversationState.refusals,
            on_send=ConversationState.send,
            on_stop=ConversationState.stop,
        ),
        _small_print(),
        class_name=f"{COLUMN} flex shrink-0 flex-col gap-2 pb-[max(0.75rem,env(safe-area-inset-bottom))]",
    )


def _send_trouble() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.strong(ConversationState.send_trouble.cause),
            " ",
            rx.el.span(ConversationState.send_trouble.remedy, class_name="text-muted-foreground"),
            class_name="flex-1",
        ),
        rx.el.button(
            icon("M18 6 6 18", "m6 6 12 12", size=16),
            type="button",
            aria_label="Dismiss",
            on_click=ConversationState.dismiss,
            class_name=ICON_BUTTON,
        ),
        role="alert",
        data_testid="send-trouble",
        class_name=f"{ALARM} !flex-row items-center",
    )


def _small_print() -> rx.Component:
    settings = services().settings
    text = (
        "The demo model answers. CHAT_MODEL sets a real one."
        if settings.demo
        else f"{settings.model} can make mistakes. Check what matters."
    )
    return rx.el.p(text, data_testid="model", class_name="text-center text-xs text-muted-foreground")
