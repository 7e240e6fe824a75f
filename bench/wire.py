"""Just enough HTTP/1.1 for a load generator: a request, and a chunked response."""


def request(method: str, path: str, *, port: int) -> bytes:
    """The bytes of a request without a body."""
    return (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: text/event-stream\r\n"
        "content-length: 0\r\nconnection: close\r\n\r\n"
    ).encode()


class ResponseReader:
    """A response, as far as it has come.

    Attributes:
        status: 0 until the head is complete.
        ended: The terminating chunk has come: nothing was cut off.
    """

    __slots__ = ("_left", "_partial", "ended", "status")

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self._partial = b""  # of the head, or of the line with a chunk's size
        self._left = 0  # bytes of the current chunk, with the line break behind it

    def feed(self, data: bytes) -> bytes:
        """Take what came from the socket; give back what it holds of the body."""
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
