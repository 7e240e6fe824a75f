"""The React components that show a message, as Reflex sees them."""

import reflex as rx
from reflex_base.components.component import field

# The modules import one another by relative path: each has to be where the component is.
for _name in (
    "stream_client.js",
    "attach.js",
    "pacer.js",
    "markdown.jsx",
    "code_block.jsx",
    "highlight.js",
    "formulas.js",
    "math.js",
    "reasoning.jsx",
    "actions.jsx",
):
    rx.asset(path=_name, shared=True)
_answer = rx.asset(path="answer.jsx", shared=True)
_prompt = rx.asset(path="prompt.jsx", shared=True)


def _outcome_and_code(outcome: rx.Var[str], code: rx.Var[str]) -> tuple[rx.Var[str], rx.Var[str]]:
    return outcome, code


def _edited(
    edited_id: rx.Var[str], text: rx.Var[str], message_id: rx.Var[str]
) -> tuple[rx.Var[str], rx.Var[str], rx.Var[str]]:
    return edited_id, text, message_id


class Answer(rx.Component):
    """One answer, stored or being written.

    While `live` is true it follows the stream of the chat over HTTP by itself, through cuts and
    reconnections: deltas never pass through State. When it turns false the stored text takes over
    in the same instance; the two render alike.

    Key it by the message id, or an answer that ends is built anew.
    """

    library = _answer.importable_path
    tag = "Answer"
    lib_dependencies: list[str] = field(
        default_factory=lambda: ["streamdown@2.7.1", "lowlight@3.3.0", "@streamdown/math@1.0.3"]
    )

    message_id: rx.Var[str]
    chat_id: rx.Var[str]
    stream_id: rx.Var[str]
    text: rx.Var[str]
    reasoning: rx.Var[str]
    thought_ms: rx.Var[int]
    status: rx.Var[str]
    live: rx.Var[bool]
    details: rx.Var[str]
    continuable: rx.Var[bool]
    place: rx.Var[int]
    places: rx.Var[int]
    before: rx.Var[str]
    after: rx.Var[str]

    on_settled: rx.EventHandler[_outcome_and_code]
    """The stream has closed, or was refused; each is told once: outcome and code ("" for none)."""
    on_status: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """The connection's status has changed: streaming, reconnecting, disconnected, done, …"""

    on_continue: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the answer."""
    on_regenerate: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the answer beside which another one is wanted."""
    on_show: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the answer that is wanted in this one's place."""


class Prompt(rx.Component):
    """One prompt, to be copied, to be asked in other words, and the way to its other versions."""

    library = _prompt.importable_path
    tag = "Prompt"

    message_id: rx.Var[str]
    chat_id: rx.Var[str]
    text: rx.Var[str]
    place: rx.Var[int]
    places: rx.Var[int]
    before: rx.Var[str]
    after: rx.Var[str]

    on_edit: rx.EventHandler[_edited]
    """Called with the id of this prompt, the new text, and the message id made for it."""
    on_show: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the prompt that is wanted in this one's place."""


answer = Answer.create
prompt = Prompt.create
