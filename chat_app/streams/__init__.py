"""The durable log: `StreamLog`. Knows nothing of chats, models, HTTP or the page.

Files: `model` the words · `frame` one event as bytes · `log` the way in · `appender` what a producer
holds, `follower` what a consumer holds · `writer` and `feed` the two tasks, out and in · `tail` what
they all meet at · `engine` the store · `keys` where in it · `lua/` its atomic steps.
"""
