"""The list of chats, as the browser shows it: groups, search, menu, undo.

chat_list.py    the React component, as Reflex sees it
listed.py       what it shows of a chat
chat_list.jsx   lines in groups; looks after itself while the tab is visible
chat_line.jsx   one line, and its name when that is being changed
chat_menu.jsx   what can be done to a chat
chat_search.jsx the search field and what it found
undo.jsx        a deleted chat can be taken back for a moment
"""

from chat_app.ui.chat_list.chat_list import chat_list

__all__ = ["chat_list"]
