"""The React component that shows one answer, as Reflex sees it."""

import reflex as rx
from reflex_base.components.component import field

# The modules import one another by relative path: each has to be where the component is.
for _name in ("stream_client.js", "attach.js", "markdown.jsx"):
    rx.asset(path=_name, shared=True)
_component = rx.asset(path="answer.jsx", shared=True)


def _outcome_and_code(outcome: rx.Var[str], code: rx.Var[str]) -> tuple[rx.Var[str], rx.Var[str]]:
    return outcome, code


class Answer(rx.Component):
    """One answer, stored or being written.

    While `live` is true it follows the stream of the chat over HTTP by itself, through cuts and
    reconnections: deltas never pass through State. When it turns false the stored text takes over
    in the same instance; the two render alike.

    Key it by the message id, or an answer that ends is built anew.
    """

    library = _component.importable_path
    tag = "Answer"
    lib_dependencies: list[str] = field(default_factory=lambda: ["streamdown@2.7.1"])

    message_id: rx.Var[str]
    chat_id: rx.Var[str]
    stream_id: rx.Var[str]
    text: rx.Var[str]
    status: rx.Var[str]
    live: rx.Var[bool]

    on_settled: rx.EventHandler[_outcome_and_code]
    """The stream has closed, or was refused; each is told once: outcome and code ("" for none)."""
    on_status: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """The connection's status has changed: streaming, reconnecting, disconnected, done, …"""


answer = Answer.create
