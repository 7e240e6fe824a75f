"""A server that is told to shut down while a viewer watches an answer."""

import json
import signal
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from chat_app.streams import frame
from tests.support.app_server import AppServer, running, running_together
from tests.support.caller import Visit, rows, text_of
from tests.support.databases import postgres_server
from tests.support.redis_server import RedisServer, running_redis


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_shutdown_breaks_the_answer_off_keeps_it_and_takes_only_seconds(
    tmp_path: Path, visit: Visit, number: signal.Signals
) -> None:
    server = AppServer(folder=tmp_path)
    with running(server):
        caller = visit(server)
        with caller.send(server, "/demo tokens=5000 rate=50 words=1", chat="c") as answer:
            seen = [next(answer) for _ in range(20)]
            server.end(number)
            with pytest.raises(httpx.RemoteProtocolError):
                seen += answer
        [(parts, status)] = rows(server, "SELECT parts, status FROM message WHERE role='assistant'")

    assert "Traceback" not in "".join(server.output)
    assert status == "interrupted"
    assert json.loads(parts)[0]["text"].startswith(text_of(b"".join(seen)))
    assert frame.DONE not in b"".join(seen)


def test_another_server_goes_on_with_the_answer(
    tmp_path: Path, visit: Visit, redis_server: RedisServer
) -> None:
    settings = {"REDIS_URL": redis_server.url, "LOG_PREFIX": uuid4().hex}
    first = AppServer(folder=tmp_path, settings=settings)
    second = AppServer(folder=tmp_path, settings=settings)
    with running(first), running(second):
        caller = visit(first)
        with caller.send(first, "/demo tokens=150 rate=50 words=1", chat="c") as answer:
            seen = [next(answer) for _ in range(20)]
            first.end(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                seen += answer
        rest = caller.read(second, "c", after=frame.offset_of(seen[-1]))

    assert text_of(b"".join(seen) + rest) == "".join(f"w{n} " for n in range(1, 151))


@pytest.mark.parametrize("frozen", ["Redis", "PostgreSQL"])
def test_a_server_shuts_down_even_while_its_store_or_database_is_frozen(
    tmp_path: Path, visit: Visit, frozen: str
) -> None:
    with running_redis() as redis_server, postgres_server() as postgres:
        database_url = postgres.create_database()
        settings = {"REDIS_URL": redis_server.url, "DATABASE_URL": database_url}
        first = AppServer(folder=tmp_path, settings=settings)
        second = AppServer(folder=tmp_path, settings=settings)
        still = redis_server if frozen == "Redis" else postgres
        with running_together(first, second):
            caller = visit(first)
            with caller.send(first, "/demo tokens=150 rate=50 words=1", chat="c") as answer:
                seen = [next(answer) for _ in range(20)]
                still.pause()
                first.end(signal.SIGTERM)
                with pytest.raises(httpx.RemoteProtocolError):
                    seen += answer
            still.resume()
            rest = caller.read(second, "c", after=frame.offset_of(seen[-1]))

    assert "Traceback" not in "".join(first.output)
    assert text_of(b"".join(seen) + rest) == "".join(f"w{n} " for n in range(1, 151))
