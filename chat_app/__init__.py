"""The tour: one prompt, followed through the files.

Somebody asks, refreshes in the middle of the answer, and the answer carries on. For that, an answer
must belong to no connection. So a prompt starts work that runs by itself, the work writes into a
log that outlives it, and a page is only one of that log's readers.

    ui/composer.jsx               The browser chooses the message's id, so a prompt that is sent
                                  twice, because the first response was lost, is still one turn.
    ui/conversation.py            `ConversationState.send`, or `api/chat.py` for a POST: two doors.
    turns.py                      `Turns.send`: both lead here. Is the store there at all? No
                                  promise is better than one that cannot be kept.
    chats/repository.py           `begin_turn`: one transaction writes the prompt and its stream's
                                  row, or neither. A unique index allows one open stream per chat.
    streams/log.py                `create`: from here on the stream can be followed and stopped.
    generation/task.py            `schedule`: the work goes into a queue that redelivers it if its
                                  worker dies. The request that asked could end now.

    generation/producer.py        A worker has it. `claim` raises the row's fencing token, so the
                                  previous producer can no longer write. Then it reads the log:
                                  after a crash the reply continues from what is there.
    generation/llm.py             What a model is: `demo.py` and `litellm.py` are two of them.
    streams/writer.py             Deltas pile up during a flush, and the next flush takes them all.
                                  An idle process waits for nothing; a busy one sends fewer, larger
                                  commands.
    streams/lua/append.lua        Check the token, append, close, push: one atomic step, so nobody
                                  ever sees one without the others.

    streams/tail.py               Only what is durable is shown. A viewer holds a cursor into shared
                                  frames, not a queue: a slow one costs nothing and delays nobody.
    streams/feed.py               Viewers in another process get the same bytes over one
                                  connection; whatever a push has lost is read from the log.
    api/sse.py                    Bytes go from the log straight to the socket. `id:` is the offset,
                                  so a client that was cut off can say how far it got.
    ui/live_answer/stream_client.js
                                  Offsets are dense: the browser can prove that nothing is missing,
                                  and asks again from its cursor when something is.
    ui/live_answer/answer.jsx     Shows the text as it grows. It attaches over HTTP: State would
                                  send the whole text with every delta.

    streams/model.py              The end has an `Outcome`: completed, stopped, failed, interrupted.
    chats/closing.py              The reply is saved before the closing event, so whoever sees the
                                  end can already read the message. Then State shows what is stored.

A refresh takes none of these steps. The new page runs `ConversationState.open_chat`, which asks the
database one question, in `unanswered_stream`: is an answer owed? If so, the component attaches to
the stream, gets the text so far, compacted, and then follows live.

Elsewhere: `bootstrap.py` opens the parts, `chat_app.py` joins them to the page, `config.py` has
every setting, `errors.py` every error, `replies.py` is how the generation sees the database,
`sweep.py` ends what nobody is working on, `titles.py` names chats, `upkeep.py` renames and deletes
them, `chats/tree.py` knows a chat's branches, `identity/sessions.py` knows who is asking. Imports
point down only:

    chat_app → api | ui → bootstrap | shutdown → turns | replies | sweep | titles | upkeep
             → turn → chats | generation → streams | rates → identity → config → errors
"""
