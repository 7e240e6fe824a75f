"""A server that freezes while it produces, and wakes up after a takeover of its stream."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app_server import AppServer, running_together
from tests.support.caller import Visit, events, rows, text_of
from tests.support.producing import answering, named_server
from tests.support.redis_server import RedisServer

WORDS = "".join(f"w{number} " for number in range(1, 301))


@pytest.fixture
def pair(tmp_path: Path, own_redis: RedisServer) -> Iterator[tuple[AppServer, AppServer]]:
    """Two servers that share one Redis and one database."""
    a, b = (named_server(tmp_path, own_redis.url) for _ in range(2))
    with running_together(a, b):
        yield a, b


@pytest.mark.timeout(150)
def test_nothing_a_frozen_producer_writes_after_the_takeover_lands(
    pair: tuple[AppServer, AppServer], own_redis: RedisServer, visit: Visit
) -> None:
    a, b = pair
    caller = visit(a)
    with (
        answering(caller, a, own_redis.url, "/demo tokens=300 rate=40 words=1") as answer,
        caller.watch(b, answer.chat, after=0) as viewing,
    ):
        seen = [next(viewing) for _ in range(20)]
        a.pause()
        while takeovers_in(seen) == 0:
            seen.append(next(viewing))
        seen += [next(viewing) for _ in range(20)]
        a.resume()  # its model continues where it was, and its next flush is fenced
        seen += viewing
        beside_the_old_one = b"".join(answer.frames)

    whole = b"".join(seen)
    assert text_of(whole) == WORDS
    assert beside_the_old_one == whole
    assert takeovers_in(seen) == 1
    [(parts, status)] = rows(
        a, "SELECT parts, status FROM message WHERE role='assistant' AND parts LIKE '%w300 %'"
    )
    assert (json.loads(parts)[0]["text"], status) == (WORDS, "complete")


def takeovers_in(seen: list[bytes]) -> int:
    """Return how often the stream was taken over, according to its newest metadata."""
    told = [event.get("messageMetadata", {}) for event in events(b"".join(seen))]
    return max(metadata.get("takeovers", 0) for metadata in told)
