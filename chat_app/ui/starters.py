"""Prompts that show what is special here to somebody who has only the demo model."""

import reflex as rx

from chat_app.config import DEMO_MODEL
from chat_app.ui.session import SessionState

_component = rx.asset(path="starters.jsx", shared=True)

_PROMPTS = {
    "A long answer to refresh": "/demo tokens=1500 rate=30",
    "A model that fails midway": "/demo tokens=400 rate=30 fail=120",
    "Markdown, code and tables": "Show me what an answer can look like.",
}


class Starters(rx.Component):
    """Buttons that dispatch `chat:write` with a prompt on the window, for the composer."""

    library = _component.importable_path
    tag = "Starters"

    prompts: rx.Var[dict[str, str]]


def starters() -> rx.Component:
    """The demo model's prompts; nothing for a real model, which needs no directives."""
    return rx.cond(SessionState.answering_model == DEMO_MODEL, Starters.create(prompts=_PROMPTS))
