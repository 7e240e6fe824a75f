"""Buttons that ask the server for something, and show at once that they did."""

import reflex as rx

_component = rx.asset(path="wish.jsx", shared=True)


class WishButton(rx.Component):
    """A button that is busy from the click until the server replies; one on the page at a time."""

    library = _component.importable_path
    tag = "WishButton"

    wish: rx.Var[str]

    on_click: rx.EventHandler[rx.event.no_args_event_spec]
    """Called on a click unless a wish is pending."""


wish_button = WishButton.create
