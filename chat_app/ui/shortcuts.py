"""Keyboard shortcuts that work everywhere on the page."""

import reflex as rx

_component = rx.asset(path="shortcuts.jsx", shared=True)


class Shortcuts(rx.Component):
    """A button that opens the list of shortcuts; they work while it is mounted."""

    library = _component.importable_path
    tag = "Shortcuts"


shortcuts = Shortcuts.create
