"""A prompt that was sent and is not among the messages yet."""

import reflex as rx

rx.asset(path="sending.js", shared=True)
_component = rx.asset(path="sent_prompt.jsx", shared=True)


class SentPrompt(rx.Component):
    """Shows a sent prompt until `accepted` is its id, it is refused, or no reply comes."""

    library = _component.importable_path
    tag = "SentPrompt"

    accepted: rx.Var[str]


sent_prompt = SentPrompt.create
