"""The durable log: `StreamLog`. It knows nothing of chats, models, HTTP or the page.

`log` is the entry point, `model` has the values it takes and returns. A producer holds an
`appender`, a consumer a `follower`, and those of one stream share its `tail`. Two tasks move the
events: `writer` sends what this process appends, `feed` receives what other processes write.
`frame` encodes an event, `engine` is the store, `keys` says where in it a stream lives, and `lua/`
has its atomic steps.
"""
