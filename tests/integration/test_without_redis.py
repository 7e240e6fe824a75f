"""Without Redis, answers are clear and nothing hangs; once Redis appears, all works."""

import threading
from pathlib import Path

import httpx

from chat_app.streams import frame
from tests.support.app_server import AppServer, running
from tests.support.caller import Caller, Visit, prompt, rows
from tests.support.redis_server import RedisServer


def test_requests_are_refused_until_redis_appears_and_served_from_then_on(
    absent_redis: RedisServer, tmp_path: Path, visit: Visit
) -> None:
    server = AppServer(folder=tmp_path, settings={"REDIS_URL": absent_redis.url})
    with running(server):
        caller = visit(server)
        body = prompt("/demo tokens=5 rate=0 words=1", chat="c", message="m")

        refused = caller.http.post(f"{server.api}/api/chat", json=body)

        assert refused.status_code == 503
        assert refused.json()["code"] == "log_unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        assert rows(server, "SELECT * FROM message") == []
        assert caller.resume(server, "c").status_code == 404

        absent_redis.start()

        assert served(caller, server, body).content.endswith(frame.DONE)


def served(caller: Caller, server: AppServer, body: dict[str, object]) -> httpx.Response:
    """Retry as a patient client does; return the first answer that is not a refusal."""
    for _ in range(50):
        answer = caller.http.post(f"{server.api}/api/chat", json=body)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return answer
        threading.Event().wait(0.1)
    raise AssertionError("still refused")
