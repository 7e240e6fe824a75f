"""The tour: one prompt, followed through the files.

Somebody asks, refreshes in the middle of the answer, and the answer goes on. For that to hold, an
answer must belong to no connection. So a prompt starts work that runs by itself, the work writes
into a log that outlives it, and a page is only one of the readers of that log.

    ui/composer.jsx               The browser makes the message's id, so that a prompt that is sent
                                  twice, because the first reply got lost, is still one turn.
    ui/conversation.py            `ConversationState.send`, or `api/chat.py` for a POST: two doors.
    turns.py                      `Turns.send`: both lead here. Is the store there at all? Better
                                  no promise than one that cannot be kept.
    chats/repository.py           `begin_turn`: one transaction writes the prompt and the row of its
                                  stream, or neither. A unique index allows one open stream a chat.
    streams/log.py                `create`: from here on the stream can be followed and stopped.
    generation/task.py            `schedule`: the work goes into a queue that redelivers it when its
                                  worker dies. The request that asked could end now.

    generation/producer.py        A worker has it. `claim` raises the row's fencing token: whoever
                                  held the stream before can write no more. Then the log is read:
                                  after a crash the reply goes on behind what is there.
    generation/llm.py             What a model is: `demo.py` and `litellm.py` are two of them.
    streams/writer.py             Deltas pile up while a flush is under way, the next one takes them
                                  all. An idle process waits for nothing, a busy one sends fewer
                                  and larger commands.
    streams/lua/append.lua        Check the token, append, close, push: one atomic step, so nobody
                                  can ever see one of them without the others.

    streams/tail.py               What is durable is shown. Viewers hold a cursor into shared frames
                                  and no queue: a slow one costs nothing and delays nobody.
    streams/feed.py               Viewers in another process get the same bytes through one
                                  connection; what a push has lost is read from the log.
    api/sse.py                    Bytes from the log straight to the socket. `id:` is the offset, so
                                  a client that was cut says how far it got.
    ui/live_answer/stream_client.js
                                  Offsets are dense: the browser can prove that nothing is missing,
                                  and asks again from its cursor when something is.
    ui/live_answer/answer.jsx     Shows the text as it grows. It attaches by HTTP: State would send
                                  the whole text with every delta.

    streams/model.py              The end has an `Outcome`: completed, stopped, failed, interrupted.
    chats/closing.py              The reply is saved before the closing event: whoever sees the end
                                  can already read the message. Then State shows what is stored.

A refresh is none of these steps. The new page runs `ConversationState.open_chat`, which asks the
database one question, in `unanswered_stream`: is an answer owed? If so, the component attaches to
the stream, gets the text so far, compacted, and goes on live.

Elsewhere: `bootstrap.py` opens the parts, `chat_app.py` joins them to the page, `config.py` has
every setting, `errors.py` every error, `replies.py` is what the generation knows of the database,
`sweep.py` ends what nobody works on, `titles.py` names chats, `upkeep.py` renames and deletes
them, `chats/tree.py` knows the branches of one, `identity/sessions.py` who asks. Imports point down only:

    chat_app → api | ui → bootstrap → turns | replies | sweep | titles | upkeep
             → turn → chats | generation → streams | identity → config → errors
"""
