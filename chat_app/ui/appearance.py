"""Light or dark, as the system is set or the reader chooses. The browser remembers."""

import reflex as rx
from reflex.style import color_mode, set_color_mode

_MODES = {"system": "System", "light": "Light", "dark": "Dark"}


def appearance_picker() -> rx.Component:
    """A select for system, light or dark."""
    return rx.el.label(
        "Appearance",
        rx.el.select(
            *(rx.el.option(name, value=mode) for mode, name in _MODES.items()),
            value=color_mode,
            on_change=lambda mode: set_color_mode(mode),
            data_testid="appearance",
        ),
        class_name="nav-link appearance",
    )
