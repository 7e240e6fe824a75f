"""The page: State classes that decide, components that show.

A file has a State class and the components that go with it; `.jsx` is there where the browser has
to act by itself.

    page.py          the two pages, and what frames both
    session.py       who looks: the cookie, and how a first visitor gets one (`session_gate.jsx`)
    sidebar.py       the list of chats: what is in it (`chat_list`: how that looks and behaves)
    conversation.py  one chat: what is shown, and what the reader can do
    shown.py         what of a chat is shown
    transcript.py    how that looks (`scroll_area.jsx`)
    sending.py       a prompt from the moment it is sent until it is a message (`sending.js`)
    composer.py      where a prompt is written (`composer.jsx`; `draft.js` keeps it)
                     and from where its reader goes (`destination.js`)
    appearance.py    light or dark
    shortcuts.py     the keys that work everywhere (`shortcuts.jsx`)
    live_answer      prompts, and answers as they grow; follows their stream without State
    outage.py        that the server waits for its store, while it does (`outage.jsx`)
    notices.py       what is said of an answer to who cannot see it (`notices.jsx`)
    trouble.py       errors in words for the reader
    theme.py         looks shared by all of these

State holds no delta and believes no browser: each handler finds out who asks and reads the
database in their name.
"""
