"""How a conversation looks: its messages, and what is shown in their place."""

import reflex as rx

from chat_app.ui.conversation import ConversationState
from chat_app.ui.live_answer import answer, prompt
from chat_app.ui.notices import notices
from chat_app.ui.pending_button import pending_button
from chat_app.ui.sending import sent_prompt
from chat_app.ui.starters import starters
from chat_app.ui.theme import ALARM, COLUMN, PRIMARY_LINK, page_link

_scroll_area = rx.asset(path="scroll_area.jsx", shared=True)


class ScrollArea(rx.Component):
    """A column that stays at its end while the reader is there, and otherwise stays put."""

    library = _scroll_area.importable_path
    tag = "ScrollArea"

    chat_id: rx.Var[str]
    follow_key: rx.Var[str]
    earlier: rx.Var[int]

    on_earlier: rx.EventHandler[rx.event.no_args_event_spec]
    """Called when earlier messages are needed, e.g. because the reader nears the first one."""


def conversation(*, placeholder: rx.Component) -> rx.Component:
    """Everything between the page's header and the composer.

    Args:
        placeholder: What is shown until the server says what there is.
    """
    return ScrollArea.create(
        notices(
            chat_id=ConversationState.shown_chat_id,
            chat_title=ConversationState.title,
            answering=ConversationState.answering,
            ended=ConversationState.ended,
        ),
        rx.cond(
            ConversationState.earlier > 0,
            rx.el.p(
                "Earlier messages are missing here. Print with Ctrl+P to include them.",
                data_testid="not-on-paper",
                class_name="paper-only",
            ),
        ),
        rx.match(
            ConversationState.view,
            ("chat", _messages()),
            ("new", greeting()),
            ("not_found", _not_found()),
            ("unavailable", _unavailable()),
            placeholder,
        ),
        sent_prompt(accepted=ConversationState.accepted),
        chat_id=ConversationState.shown_chat_id,
        earlier=ConversationState.earlier,
        on_earlier=ConversationState.show_earlier,
        follow_key=f"{ConversationState.shown_chat_id}/{ConversationState.accepted}",
    )


def skeleton() -> rx.Component:
    """A placeholder in the shape of a conversation."""
    widths = ("w-2/5 self-end h-10 !rounded-3xl", "w-11/12", "w-full", "w-10/12", "w-7/12")
    return rx.el.div(
        *(rx.el.div(class_name=f"skeleton h-4 {width}") for width in widths),
        aria_hidden=True,
        data_testid="skeleton",
        class_name=f"{COLUMN} flex flex-col gap-4 py-8",
    )


def _messages() -> rx.Component:
    return rx.el.div(
        rx.foreach(
            ConversationState.messages,
            lambda message: rx.cond(
                message.role == "user",
                _prompt(
                    key=message.id,
                    message_id=message.id,
                    chat_id=ConversationState.shown_chat_id,
                    text=message.text,
                    version=message.version,
                    version_count=message.version_count,
                    previous_id=message.previous_id,
                    next_id=message.next_id,
                ),
                _reply(
                    key=message.id,
                    message_id=message.id,
                    chat_id=ConversationState.shown_chat_id,
                    stream_id=message.stream_id,
                    text=message.text,
                    reasoning=message.reasoning,
                    thought_ms=message.thought_ms,
                    status=message.status,
                    live=message.live,
                    details=message.details,
                    continuable=message.continuable,
                    version=message.version,
                    version_count=message.version_count,
                    previous_id=message.previous_id,
                    next_id=message.next_id,
                ),
            ),
        ),
        rx.cond(ConversationState.trouble.code != "", _failure()),
        role="log",
        aria_label="Conversation",
        aria_live="off",
        data_testid="messages",
        custom_attrs={"data-answering": ConversationState.answering},
        class_name=f"{COLUMN} messages",
    )


@rx.memo
def _prompt(
    rest: rx.RestProp,
    *,
    message_id: rx.Var[str],
    chat_id: rx.Var[str],
    text: rx.Var[str],
    version: rx.Var[int],
    version_count: rx.Var[int],
    previous_id: rx.Var[str],
    next_id: rx.Var[str],
) -> rx.Component:
    return prompt(
        rest,
        message_id=message_id,
        chat_id=chat_id,
        text=text,
        version=version,
        version_count=version_count,
        previous_id=previous_id,
        next_id=next_id,
        on_edit=ConversationState.edit(chat_id),
        on_show=ConversationState.show_branch(chat_id),
    )


@rx.memo
def _reply(
    rest: rx.RestProp,
    *,
    message_id: rx.Var[str],
    chat_id: rx.Var[str],
    stream_id: rx.Var[str],
    text: rx.Var[str],
    reasoning: rx.Var[str],
    thought_ms: rx.Var[int],
    status: rx.Var[str],
    live: rx.Var[bool],
    details: rx.Var[str],
    continuable: rx.Var[bool],
    version: rx.Var[int],
    version_count: rx.Var[int],
    previous_id: rx.Var[str],
    next_id: rx.Var[str],
) -> rx.Component:
    return answer(
        rest,
        message_id=message_id,
        chat_id=chat_id,
        stream_id=stream_id,
        text=text,
        reasoning=reasoning,
        thought_ms=thought_ms,
        status=status,
        live=live,
        details=details,
        continuable=continuable,
        version=version,
        version_count=version_count,
        previous_id=previous_id,
        next_id=next_id,
        on_settled=ConversationState.show_stored,
        on_continue=ConversationState.continue_reply(chat_id),
        on_regenerate=ConversationState.regenerate(chat_id),
        on_show=ConversationState.show_branch(chat_id),
    )


def _failure() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.strong(ConversationState.trouble.cause),
            rx.el.span(ConversationState.trouble.remedy, class_name="text-muted-foreground"),
            rx.el.code(ConversationState.trouble.code, class_name="text-xs text-muted-foreground"),
            class_name="flex min-w-0 flex-1 flex-col gap-1",
        ),
        pending_button(
            "Retry",
            action="retry",
            on_click=ConversationState.continue_reply(
                ConversationState.shown_chat_id, ConversationState.owed_id
            ),
            data_testid="retry",
            class_name="quiet-button",
        ),
        role="alert",
        data_testid="answer-trouble",
        class_name=f"{ALARM} !flex-row items-center",
    )


def greeting() -> rx.Component:
    """What an empty page shows."""
    return _centred(
        rx.el.h1("What would you like to know?", class_name="text-2xl font-semibold text-balance"),
        rx.el.div(
            rx.el.p("Refresh, close the tab or switch devices: your answer keeps going."),
            starters(),
            class_name="relative text-muted-foreground",
        ),
        testid="greeting",
        class_name="greeting",
    )


def _not_found() -> rx.Component:
    return _centred(
        rx.el.h1("Chat not found", class_name="text-2xl font-semibold"),
        rx.el.p(
            "It may have been deleted, or it may belong to someone else.",
            class_name="text-muted-foreground",
        ),
        page_link("Start a new chat", to="/", class_name=PRIMARY_LINK),
        testid="not-found",
    )


def _unavailable() -> rx.Component:
    return _centred(
        rx.el.h1("This chat cannot be loaded right now", class_name="text-2xl font-semibold"),
        rx.el.p("Nothing is lost. Try again in a moment.", class_name="text-muted-foreground"),
        rx.el.button(
            "Try again",
            type="button",
            on_click=ConversationState.open_chat,
            class_name=PRIMARY_LINK,
        ),
        testid="unavailable",
    )


def _centred(*children: rx.Component, testid: str, class_name: str = "") -> rx.Component:
    return rx.el.div(
        *children,
        data_testid=testid,
        class_name=f"{class_name} {COLUMN} flex min-h-[60dvh] flex-col items-center justify-center gap-4"
        " text-center",
    )
