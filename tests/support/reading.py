"""Reading a stream from the log to its end."""

import anyio

from chat_app.streams.log import StreamLog
from chat_app.streams.model import StreamId

TOO_LONG = 60


async def everything(log: StreamLog, stream_id: StreamId, *, after: int = 0) -> bytes:
    """Return all that a consumer gets from `after` to the end of the stream."""
    with anyio.fail_after(TOO_LONG):
        follower = await log.follow(stream_id, after=after)
        return b"".join([batch.data async for batch in follower])
