"""Just enough HTTP/1.1 for a load generator: requests without a body, chunked responses."""


def request(method: str, path: str, *, port: int) -> bytes:
    """Return the bytes of a request without a body."""
    return (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: text/event-stream\r\n"
        "content-length: 0\r\nconnection: close\r\n\r\n"
    ).encode()


class ResponseReader:
    """The response received so far.

    Attributes:
        status: The HTTP status; 0 until the head is complete.
        ended: Whether the terminating chunk has come, so that nothing was cut off.
    """

    __slots__ = ("_left", "_partial", "ended", "status")

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self._partial = b""  # an incomplete head or chunk-size line
        self._left = 0  # bytes left of the current chunk, with its line break

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the socket and return the body bytes in them."""
        if self._partial:
            data, self._partial = self._partial + data, b""
        if not self.status:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._partial = data
                return b""
            self.status = int(head.split(b" ", 2)[1])
            data = rest
        return self._chunks(data) if self.status == 200 else b""

    def _chunks(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.ended:
            if not self._left:
                line_end = data.find(b"\r\n", at)
                if line_end < 0:
                    self._partial = data[at:]
                    break
                size = int(data[at:line_end], 16)
                at = line_end + 2
                self._left = size + 2
                self.ended = size == 0
                continue
            pieces.append(data[at : at + max(0, self._left - 2)])
            taken = min(len(data) - at, self._left)
            at += taken
            self._left -= taken
        return b"".join(pieces)
