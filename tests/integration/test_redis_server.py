import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        server = RedisServer(folder=Path(folder))
        server.start()
        yield server
        server.close()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client:
        yield client


def test_both_addresses_lead_to_the_same_server(server: RedisServer, client: redis.Redis) -> None:
    client.set("key", "value")

    with redis.Redis.from_url(server.socket_url) as other:
        assert other.get("key") == b"value"


def test_after_a_restart_it_is_empty_at_the_same_address(
    server: RedisServer, client: redis.Redis
) -> None:
    client.set("key", "value")

    server.restart()

    assert client.get("key") is None


def test_paused_it_does_not_answer_and_resumed_it_has_kept_everything(
    server: RedisServer, client: redis.Redis
) -> None:
    client.set("key", "value")

    server.pause()
    with pytest.raises(redis.TimeoutError):
        client.get("key")
    server.resume()

    assert client.get("key") == b"value"


def test_stopped_it_refuses_connections(server: RedisServer, client: redis.Redis) -> None:
    server.stop()

    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_paused_server_can_be_stopped(server: RedisServer) -> None:
    server.pause()

    server.stop()

    server.start()


def test_each_test_gets_an_empty_database(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
