"""The page: State classes decide, components show.

A file holds a State class and the components that go with it; a `.jsx` file beside it holds what
the browser has to do by itself.

    page.py           the two pages, and the frame around both
    session.py        who is looking: the cookie, and how a first visitor gets one
                      (`session_gate.jsx`)
    sidebar.py        the list of chats: its contents (`chat_list`: its look and behaviour)
    conversation.py   one chat: what is shown, and what the reader can do
    shown.py          which parts of a chat are shown
    transcript.py     how they look (`scroll_area.jsx`)
    starters.py       prompts for the demo model on an empty page (`starters.jsx`)
    sending.py        a prompt from the moment it is sent until it is a message (`sending.js`)
    composer.py       where a prompt is written (`composer.jsx`), how drafts are kept (`draft.js`),
                      and which page the reader is going to (`destination.js`)
    pending_button.py buttons that are busy until the server replies (`pending_button.jsx`)
    appearance.py     light or dark
    shortcuts.py      keyboard shortcuts (`shortcuts.jsx`)
    live_answer       prompts, and answers as they grow; follows their streams without State
    outage.py         a notice while the server waits for its store or database (`outage.jsx`)
    notices.py        announcements for readers who cannot see an answer (`notices.jsx`)
    trouble.py        errors in words for the reader
    theme.py          styles shared by all of these

State holds no delta and trusts no browser: each handler finds out who is asking and reads the
database on their behalf.
"""
