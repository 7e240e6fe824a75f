"""Free loopback ports."""

import random
import socket


def free_port() -> int:
    """Return a free TCP port below the range the system uses for outgoing connections.

    Within that range, a client that retries while the server is down can be given the very port
    it tries to reach, and connect to itself.
    """
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free TCP port found")
