"""Styles that several parts of the page share; colours and sizes are in assets/chat.css."""

import reflex as rx
from reflex_components_core.react_router.dom import ReactRouterLink

NOTICE = (
    "flex flex-col gap-1 rounded-xl border border-border bg-card px-4 py-3 text-sm text-foreground"
    " shadow-sm"
)
ALARM = (
    "flex flex-col gap-1 rounded-xl border border-danger/30 bg-danger/5 px-4 py-3 text-sm"
    " text-foreground"
)
COLUMN = "mx-auto w-full max-w-3xl px-4"
ICON_BUTTON = (
    "inline-flex size-11 md:size-9 items-center justify-center rounded-lg text-muted-foreground"
    " hover:bg-muted hover:text-foreground"
)
PRIMARY_LINK = (
    "inline-flex h-11 items-center rounded-full bg-primary px-5 text-sm font-medium"
    " text-primary-foreground hover:opacity-90"
)


class PageLink(ReactRouterLink):
    """A link inside the application; it has `aria-current="page"` while its page is open."""

    tag = "NavLink"
    alias = "PageLink"

    end: rx.Var[bool]


page_link = PageLink.create


def icon(*paths: str, size: int = 18) -> rx.Component:
    """A line drawing on a 24 × 24 grid, hidden from screen readers: its button has the name."""
    return rx.el.svg(
        *(rx.el.path(d=path) for path in paths),
        width=str(size),
        height=str(size),
        view_box="0 0 24 24",
        fill="none",
        stroke="currentColor",
        stroke_width="2",
        stroke_linecap="round",
        stroke_linejoin="round",
        aria_hidden=True,
    )
