"""The list of chats, as the browser shows it: groups, search, menu, undo.

chat_list.py    the React component, as Reflex sees it
listed.py       what a line shows of a chat
chat_list.jsx   lines in groups; stays up to date while the tab is visible
chat_line.jsx   one line, or the field that renames it
chat_menu.jsx   the actions on a chat
chat_search.jsx the search field and its results
undo.jsx        the offer to restore a deleted chat
"""

from chat_app.ui.chat_list.chat_list import chat_list

__all__ = ["chat_list"]
