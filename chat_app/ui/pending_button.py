"""Buttons that ask the server for something, and show at once that they did."""

import reflex as rx

_component = rx.asset(path="pending_button.jsx", shared=True)


class PendingButton(rx.Component):
    """A button that is busy from the click until the server replies; one on the page at a time."""

    library = _component.importable_path
    tag = "PendingButton"

    action: rx.Var[str]

    on_click: rx.EventHandler[rx.event.no_args_event_spec]
    """Called on a click unless an action is pending."""


pending_button = PendingButton.create
