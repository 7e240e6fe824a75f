"""The React component that shows the list of chats, as Reflex sees it."""

from typing import Any

import reflex as rx

# The modules import one another by relative path, so all of them must be beside the component.
for _name in ("chat_line.jsx", "chat_menu.jsx", "chat_search.jsx", "undo.jsx"):
    rx.asset(path=_name, shared=True)
_component = rx.asset(path="chat_list.jsx", shared=True)


def _id_and_title(chat_id: rx.Var[str], title: rx.Var[str]) -> tuple[rx.Var[str], rx.Var[str]]:
    return chat_id, title


def _id_and_pinned(chat_id: rx.Var[str], pinned: rx.Var[bool]) -> tuple[rx.Var[str], rx.Var[bool]]:
    return chat_id, pinned


class ChatListView(rx.Component):
    """The chats grouped by day, with search, rename, pin, export and delete.

    The browser handles what is its own: the reader's time zone, the menus, the focus, the time to
    restore a deleted chat. While the tab is visible, it asks for news every few seconds.
    """

    library = _component.importable_path
    tag = "ChatList"

    loaded: rx.Var[bool]
    pinned: rx.Var[list[Any]]
    recent: rx.Var[list[Any]]
    earlier: rx.Var[list[Any]]
    more: rx.Var[bool]
    shown_at: rx.Var[str]
    """The open chat's `updated_at` as of what is shown: anything later is unseen."""
    syncs: rx.Var[int]
    """Grows with each reply to `on_sync`."""
    found: rx.Var[list[Any]]
    found_for: rx.Var[str]
    """The query that `found` answers."""
    discarded_id: rx.Var[str]
    discarded_title: rx.Var[str]

    on_sync: rx.EventHandler[rx.event.no_args_event_spec]
    on_more: rx.EventHandler[rx.event.no_args_event_spec]
    on_search: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    on_seen: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    on_rename: rx.EventHandler[_id_and_title]
    on_pin: rx.EventHandler[_id_and_pinned]
    on_discard: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    on_restore: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    on_expire: rx.EventHandler[rx.event.passthrough_event_spec(str)]
    """Called when a deleted chat can no longer be restored."""


chat_list = ChatListView.create
