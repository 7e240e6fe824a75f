"""A private Redis Cluster: masters that share the slots, without replicas."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

SLOTS = 16_384
START_TIMEOUT = 20


class RedisCluster:
    """Masters on the loopback that hold all slots, in equal parts and in order.

    A node that is killed and restarted is empty, but remains the same member with the same slots.
    While a node is away the whole cluster refuses commands, which is Redis's default.

    Attributes:
        nodes: The masters; tests may break each like any server.
    """

    def __init__(self, *, folder: Path, masters: int = 3) -> None:
        """Choose the addresses; nothing runs yet.

        Args:
            folder: Where the nodes keep their sockets and their memberships; the path must be
                short, because macOS limits a socket's path to 104 bytes.
            masters: The number of nodes; a cluster needs at least three.
        """
        self._bus_ports = [free_port() for _ in range(masters)]
        self.nodes: list[RedisServer] = []
        for number, bus_port in enumerate(self._bus_ports):
            (folder / str(number)).mkdir()
            options = {
                "cluster-enabled": "yes",
                "cluster-port": str(bus_port),
                "cluster-node-timeout": "2000",  # milliseconds
            }
            self.nodes.append(RedisServer(folder=folder / str(number), options=options))

    @property
    def url(self) -> str:
        """The address of one node, from which a client learns the others."""
        return self.nodes[0].url

    def start(self) -> None:
        """Start an empty cluster and wait until every node serves its slots."""
        for node in self.nodes:
            node.start()
        with self._clients() as clients:
            bounds = [SLOTS * n // len(clients) for n in range(len(clients) + 1)]
            for number, (client, (first, end)) in enumerate(
                zip(clients, pairwise(bounds), strict=True)
            ):
                # With distinct epochs the nodes need not negotiate who owns a slot.
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            for node, bus_port in zip(self.nodes, self._bus_ports, strict=True):
                clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus_port)
            self._wait_until_up(clients)

    def wait_until_up(self) -> None:
        """Wait until every node serves its slots (again)."""
        with self._clients() as clients:
            self._wait_until_up(clients)

    def flush(self) -> None:
        """Delete all keys."""
        with self._clients() as clients:
            for client in clients:
                client.flushall()

    def close(self) -> None:
        """Stop all nodes, in whatever state they are."""
        for node in self.nodes:
            node.close()

    @contextmanager
    def _clients(self) -> Iterator[list[redis.Redis]]:
        with ExitStack() as stack:
            yield [stack.enter_context(redis.Redis.from_url(node.url)) for node in self.nodes]

    def _wait_until_up(self, clients: list[redis.Redis]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not all(self._is_up(client) for client in clients):
            states = [_info(client) for client in clients]
            assert time.monotonic() < deadline, f"the cluster did not come up: {states}"
            threading.Event().wait(0.05)

    def _is_up(self, client: redis.Redis) -> bool:
        info = _info(client)
        return (
            info["cluster_state"] == "ok"
            and info["cluster_slots_assigned"] == str(SLOTS)
            and info["cluster_size"] == str(len(self.nodes))
        )


def _info(client: redis.Redis) -> dict[str, str]:
    answer: bytes = client.execute_command("CLUSTER", "INFO")
    return dict(line.split(":", 1) for line in answer.decode().splitlines())
