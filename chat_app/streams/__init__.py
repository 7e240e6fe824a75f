"""The durable log: `StreamLog`. Knows nothing of chats, models, HTTP or the page.

Files: `model` the words · `frame` one event as bytes · `log` the way in · `writer` and `feed` its
two tasks, out and in · `tail` what they meet at · `engine` the store · `lua/` its atomic steps.
"""
