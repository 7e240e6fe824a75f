"""Where a stream lives in the store."""

from typing import NamedTuple

from chat_app.streams.model import StreamId


class Keys(NamedTuple):
    """The two keys of a stream. The braces put both into one slot of a Redis Cluster.

    Attributes:
        state: Hash: fencing token, stop flag, outcome and last offset, channels of the watchers.
        log: Redis Stream: entry id = offset, one frame per entry.
    """

    state: str
    log: str

    @classmethod
    def of(cls, stream_id: StreamId, *, prefix: str) -> "Keys":
        """Return the keys of `stream_id`."""
        tag = f"{prefix}:{{{stream_id}}}"
        return cls(state=f"{tag}:state", log=f"{tag}:log")
