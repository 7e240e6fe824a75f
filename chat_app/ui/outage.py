"""That the server waits for its store or its database: what the page shows meanwhile."""

import reflex as rx

_component = rx.asset(path="outage.jsx", shared=True)

OUTAGES = ("log_unavailable", "database_unavailable")
"""Codes of the errors with which a prompt is refused during an outage."""


class Outage(rx.Component):
    """Shows its children while an outage lasts; it goes by itself.

    The server is asked, at `/api/ready`, only while there is reason to doubt.
    """

    library = _component.importable_path
    tag = "Outage"

    awaiting: rx.Var[bool]
    refused: rx.Var[bool]

    on_over: rx.EventHandler[rx.event.no_args_event_spec]
    """An outage is over during which a prompt was refused."""


outage = Outage.create
