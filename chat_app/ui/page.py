"""The two pages: a new chat, and a chat."""

import reflex as rx
from reflex_components_core.core.banner import has_connection_errors

from chat_app.config import DEMO_MODEL
from chat_app.ui.appearance import appearance_picker
from chat_app.ui.composer import composer
from chat_app.ui.conversation import ConversationState
from chat_app.ui.outage import OUTAGES, outage
from chat_app.ui.session import SessionState, session_gate
from chat_app.ui.shortcuts import shortcuts
from chat_app.ui.sidebar import SIDEBAR_ID, SidebarState, sidebar
from chat_app.ui.theme import ALARM, COLUMN, ICON_BUTTON, icon, page_link
from chat_app.ui.transcript import conversation, greeting, skeleton

_TITLE = "Chat"
_FRAME = "flex h-dvh bg-background text-foreground"
_META = [
    {"name": "description", "content": "A chat whose answers survive a refresh."},
    {"name": "color-scheme", "content": "light dark"},
]


def add_pages(app: rx.App) -> None:
    """Add `/` and `/chat/[chat_id]` to the application, with their style sheets and icon."""
    _configure(app)
    app.add_page(
        _page(placeholder=greeting()),
        route="/",
        title=_TITLE,
        meta=_META,
        on_load=[ConversationState.start_new_chat, SidebarState.load_chats],
    )
    app.add_page(
        _page(placeholder=skeleton()),
        route="/chat/[chat_id]",
        title=_TITLE,
        meta=_META,
        on_load=[ConversationState.open_chat, SidebarState.load_chats],
    )


def _configure(app: rx.App) -> None:
    app.html_lang = "en"
    app.stylesheets += ["/chat.css", "/sidebar.css", "/conversation.css"]
    app.head_components.append(rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"))
    app.hydrate_fallback = _shell
    # Reflex's own notice of a lost connection names internal addresses and covers the composer.
    app.app_wraps.pop((5, "Overlay"), None)


def _page(*, placeholder: rx.Component) -> rx.Component:
    """The page, the same for both routes, so that nothing moves on the way between them."""
    return rx.el.div(
        session_gate(),
        sidebar(
            appearance_picker(),
            shortcuts(),
            shown_at=ConversationState.shown_at,
            on_news=ConversationState.refresh,
        ),
        rx.el.main(
            _header(),
            conversation(placeholder=placeholder),
            _foot(),
            class_name="flex min-w-0 flex-1 flex-col",
        ),
        class_name=_FRAME,
    )


def _shell() -> rx.Component:
    """What the browser shows before any script has run: the frame, without guessed content."""
    return rx.el.div(rx.el.div(class_name="sidebar max-md:hidden"), class_name=_FRAME)


def _header() -> rx.Component:
    return rx.el.header(
        _sidebar_button(),
        rx.el.h2(
            # A title given in the list, by a model or on another device reaches the list first.
            rx.cond(
                (SidebarState.open_title != "")
                & (SidebarState.open_id == ConversationState.shown_chat_id),
                SidebarState.open_title,
                ConversationState.title,
            ),
            class_name="min-w-0 flex-1 truncate text-sm font-medium text-muted-foreground",
        ),
        rx.cond(SessionState.models.length() > 1, _model_picker()),
        page_link(
            icon("M12 5v14", "M5 12h14"),
            to="/",
            aria_label="New chat",
            class_name=f"{ICON_BUTTON} md:hidden",
        ),
        class_name="flex h-12 shrink-0 items-center gap-2 px-2 md:px-4",
    )


def _sidebar_button() -> rx.Component:
    """Opens the drawer; shown only on a narrow screen."""
    return rx.el.button(
        icon("M4 7h16", "M4 12h16", "M4 17h10"),
        type="button",
        custom_attrs={"popoverTarget": SIDEBAR_ID},
        aria_label="Open chat list",
        data_testid="open-sidebar",
        class_name=f"{ICON_BUTTON} md:hidden",
    )


def _foot() -> rx.Component:
    return rx.el.footer(
        rx.cond(has_connection_errors, _offline()),
        outage(
            _waiting_for_the_store(),
            awaiting=ConversationState.answering,
            refused=rx.Var.create(list(OUTAGES)).contains(ConversationState.send_trouble.code),
            on_over=ConversationState.dismiss,
        ),
        rx.el.div(id="connection"),  # an answer puts notices about its connection here
        rx.cond(ConversationState.send_trouble.code != "", _send_trouble()),
        composer(
            view=ConversationState.view,
            shown=ConversationState.shown_chat_id,
            answering=ConversationState.answering,
            ended=ConversationState.ended,
            accepted=ConversationState.accepted,
            refusals=ConversationState.refusals,
            max_chars=SessionState.max_prompt_chars,
            on_send=ConversationState.send,
            on_stop=ConversationState.stop(ConversationState.shown_chat_id),
        ),
        _small_print(),
        class_name=f"{COLUMN} flex shrink-0 flex-col gap-2 pb-[max(0.75rem,env(safe-area-inset-bottom))]",
    )


def _offline() -> rx.Component:
    return rx.el.div(
        rx.el.span("No connection to the server. Reconnecting…"),
        role="status",
        data_testid="offline",
        class_name="banner",
    )


def _waiting_for_the_store() -> rx.Component:
    return rx.el.div(
        rx.el.span("The server is waiting for its storage. Answers will resume; nothing is lost."),
        role="status",
        data_testid="outage",
        class_name="banner",
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
    return rx.el.div(
        rx.match(
            SessionState.answering_model,
            ("", "\u00a0"),  # keeps the line's height until the model is known
            (DEMO_MODEL, "Demo model. Set CHAT_MODEL to use a real one."),
            f"{SessionState.answering_name} can make mistakes. Check important info.",
        ),
        data_testid="model",
        class_name="small-print",
    )


def _model_picker() -> rx.Component:
    return rx.el.select(
        rx.foreach(SessionState.offered, lambda model: rx.el.option(model[1], value=model[0])),
        value=SessionState.answering_model,
        on_change=SessionState.choose_model,
        aria_label="Model",
        data_testid="model-picker",
        class_name="model-picker",
    )
