"""What the page shows while the server waits for its store or its database."""

import reflex as rx

_component = rx.asset(path="outage.jsx", shared=True)

OUTAGES = ("log_unavailable", "database_unavailable")
"""Codes of the errors that refuse a prompt during an outage."""


class Outage(rx.Component):
    """Shows its children while an outage lasts, and removes them by itself.

    It asks `/api/ready`, but only while there is reason to doubt.
    """

    library = _component.importable_path
    tag = "Outage"

    awaiting: rx.Var[bool]
    refused: rx.Var[bool]

    on_over: rx.EventHandler[rx.event.no_args_event_spec]
    """Called when an outage that had a prompt refused is over."""


outage = Outage.create
