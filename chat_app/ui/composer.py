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
    """A text box that grows. Enter sends, Shift+Enter starts a new line.

    While an answer is being written, Send becomes Stop, and a prompt waits for the answer to end;
    if the answer fails or is interrupted, the prompt stays in the box. A sent text is kept, even
    across a refresh, until `accepted` is the id it was sent under. The up arrow in an empty box
    dispatches `chat:edit-last` on the window; `chat:write` there writes into the box.
    """

    library = _component.importable_path
    tag = "Composer"

    view: rx.Var[str]
    """What the page shows; prompts can be sent from a new chat and from one that exists."""
    shown: rx.Var[str]
    """The chat that `answering` and `ended` describe; the reader may already have left it."""
    answering: rx.Var[bool]
    ended: rx.Var[str]
    accepted: rx.Var[str]
    refusals: rx.Var[int]
    max_chars: rx.Var[int]

    on_send: rx.EventHandler[_sent]
    """Called with the chat id ("" for a new chat), the text, and the id made for the message."""
    on_stop: rx.EventHandler[rx.event.no_args_event_spec]


composer = Composer.create
