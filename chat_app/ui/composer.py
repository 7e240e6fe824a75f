"""Where a prompt is written."""

import reflex as rx

rx.asset(path="destination.js", shared=True)
rx.asset(path="draft.js", shared=True)
_component = rx.asset(path="composer.jsx", shared=True)


def _sent(
    chat_id: rx.Var[str], text: rx.Var[str], message_id: rx.Var[str]
) -> tuple[rx.Var[str], rx.Var[str], rx.Var[str]]:
    return chat_id, text, message_id


class Composer(rx.Component):
    """A text box that grows. Enter sends, Shift+Enter breaks the line; Send turns into Stop.

    What is sent while an answer is written waits for its end, and longer if that is a mishap.
    The text stays in it until `accepted` is the id it was sent under, over a refresh too. Up in an
    empty box raises `chat:edit-last` on the window.
    """

    library = _component.importable_path
    tag = "Composer"

    view: rx.Var[str]
    """What the page shows: a prompt can be taken by a new chat, and by a chat that is there."""
    shown: rx.Var[str]
    """The chat of which `answering` and `ended` tell; it may be one that the reader has left."""
    answering: rx.Var[bool]
    ended: rx.Var[str]
    accepted: rx.Var[str]
    refusals: rx.Var[int]
    max_chars: rx.Var[int]

    on_send: rx.EventHandler[_sent]
    """Called with the chat ("" for a new one), the text, and the message id made for it."""
    on_stop: rx.EventHandler[rx.event.no_args_event_spec]


composer = Composer.create
