import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster as ClusterClient
from redis.exceptions import MovedError

from chat_app.streams.keys import Keys
from chat_app.streams.model import StreamId
from tests.support.redis_cluster import SLOTS, RedisCluster


@pytest.fixture
def client(redis_cluster_url: str) -> Iterator[ClusterClient]:
    client = ClusterClient.from_url(redis_cluster_url)
    yield client
    client.close()


def test_each_node_serves_its_part_of_the_slots(client: ClusterClient) -> None:
    for number in range(100):
        client.set(f"key{number}", number)

    nodes: list[Any] = client.get_primaries()
    sizes: list[Any] = [client.dbsize(target_nodes=node) for node in nodes]

    assert sum(sizes) == 100
    assert len(sizes) == 3
    assert all(sizes)


def test_every_slot_has_a_node(client: ClusterClient) -> None:
    assert all(client.nodes_manager.get_node_from_slot(slot) for slot in range(SLOTS))


def test_a_node_refuses_what_is_not_its_own(redis_cluster: RedisCluster) -> None:
    with (
        redis.Redis.from_url(redis_cluster.nodes[2].url) as stranger,
        pytest.raises(MovedError),
    ):
        stranger.set("bar", "in slot 5061, of the first node")


def test_the_keys_of_a_stream_lie_in_one_slot(client: ClusterClient) -> None:
    keys = Keys.of(StreamId("0d4c2e"), prefix="chat")

    assert client.keyslot(keys.state) == client.keyslot(keys.log)
    client.mset({keys.state: "", keys.log: ""})


def test_each_test_gets_an_empty_cluster(client: ClusterClient) -> None:
    assert client.dbsize() == 0


def test_a_node_that_crashed_comes_back_empty_with_the_same_slots() -> None:
    with tempfile.TemporaryDirectory(prefix="cluster-", dir="/tmp") as folder:
        cluster = RedisCluster(folder=Path(folder))
        try:
            cluster.start()
            with redis.Redis.from_url(cluster.nodes[0].url) as node:
                node.set("bar", "gone soon")
            cluster.nodes[0].restart()
            cluster.wait_until_up()
            with redis.Redis.from_url(cluster.nodes[0].url) as node:
                assert node.get("bar") is None
        finally:
            cluster.close()
