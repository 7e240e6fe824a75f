"""Ports of the loopback that are free."""

import random
import socket


def free_port() -> int:
    """A free TCP port below those the system hands to outgoing connections.

    Among those, a client that retries while the server is down can be given the very port it
    wants to reach, and then is connected to itself.
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
