"""Announces that an answer has begun or ended, to readers who cannot see it."""

import reflex as rx

_component = rx.asset(path="notices.jsx", shared=True)


class Notices(rx.Component):
    """A polite live region, a mark in the tab's title and, if wanted, a notification.

    Permission for notifications is requested only after an answer has ended unseen.
    """

    library = _component.importable_path
    tag = "Notices"

    chat_id: rx.Var[str]
    chat_title: rx.Var[str]
    answering: rx.Var[bool]
    ended: rx.Var[str]


notices = Notices.create
