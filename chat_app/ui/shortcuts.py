"""The keys that work everywhere on the page."""

import reflex as rx

_component = rx.asset(path="shortcuts.jsx", shared=True)


class Shortcuts(rx.Component):
    """A button that opens the list of keys; while it is mounted, the keys work."""

    library = _component.importable_path
    tag = "Shortcuts"


shortcuts = Shortcuts.create
