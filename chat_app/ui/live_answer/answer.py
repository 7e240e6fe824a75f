"""The React components that show a message, as Reflex sees them."""

import reflex as rx
from reflex_base.components.component import field

# The modules import one another by relative path, so all of them must be beside the component.
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

    While `live` is true, it follows the chat's stream over HTTP by itself, through cuts and
    reconnections: deltas never pass through State. When `live` turns false, the stored text takes
    over in the same instance; the two render alike.

    Use the message id as its key, or it is rebuilt when the answer ends.
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
    version: rx.Var[int]
    version_count: rx.Var[int]
    previous_id: rx.Var[str]
    next_id: rx.Var[str]

    on_settled: rx.EventHandler[_outcome_and_code]
    """Called once when the stream closes, and once per refusal: outcome and code ("" for none)."""
    on_status: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called when the status changes: streaming, reconnecting, disconnected, done, …"""

    on_continue: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the answer."""
    on_regenerate: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the answer that is to get another one beside it."""
    on_show: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the answer to show in place of this one."""


class Prompt(rx.Component):
    """One prompt, with buttons to copy it, edit it and show its other versions."""

    library = _prompt.importable_path
    tag = "Prompt"

    message_id: rx.Var[str]
    chat_id: rx.Var[str]
    text: rx.Var[str]
    version: rx.Var[int]
    version_count: rx.Var[int]
    previous_id: rx.Var[str]
    next_id: rx.Var[str]

    on_edit: rx.EventHandler[_edited]
    """Called with the id of this prompt, the new text, and the id made for the new message."""
    on_show: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called with the id of the prompt to show in place of this one."""


answer = Answer.create
prompt = Prompt.create
