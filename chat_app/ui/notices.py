"""What is said of an answer's beginning and end, to readers who cannot see it."""

import reflex as rx

_component = rx.asset(path="notices.jsx", shared=True)


class Notices(rx.Component):
    """A polite region for screen readers, a mark in the tab's title, and a notification if wanted.

    The permission for notifications is asked for only after an answer has ended unseen.
    """

    library = _component.importable_path
    tag = "Notices"

    chat_id: rx.Var[str]
    chat_title: rx.Var[str]
    answering: rx.Var[bool]
    ended: rx.Var[str]


notices = Notices.create
