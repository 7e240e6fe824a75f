"""Long polls: a stream in complete responses, through proxies that let no stream pass."""

from collections.abc import AsyncGenerator, Iterator

import anyio
import httpx
import pytest

from chat_app.streams import frame
from tests.support.app_server import AppServer, running
from tests.support.caller import prompt, text_of
from tests.support.http_proxies import BufferingProxy, ImpatientProxy
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio

TOO_LONG = 20
CLOSE = {"Connection": "close"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with running(AppServer(folder=tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
async def client(server: AppServer) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with a session that can also reach the server without a proxy."""
    async with httpx.AsyncClient(base_url=server.api, timeout=TOO_LONG, headers=CLOSE) as client:
        (await client.post("/api/session")).raise_for_status()
        yield client


async def poll(
    client: httpx.AsyncClient, base: str, chat: str, *, wait: float
) -> tuple[bytes, list[httpx.Response]]:
    """Poll to the end of the stream; return the whole stream and all responses."""
    whole, responses = b"", list[httpx.Response]()
    with anyio.fail_after(TOO_LONG):
        while not whole.endswith(frame.DONE):
            frames = frame.split(whole)
            after = frame.offset_of(frames[-1]) if frames else 0
            query = {"chatId": chat, "after": after, "wait": wait}
            try:
                response = await client.get(f"{base}/api/chat", params=query)
            except httpx.TransportError:
                continue  # the response was cut; the cursor has not moved, so nothing is lost
            assert response.status_code == 200
            responses.append(response)
            whole += response.content
    return whole, responses


async def ask(client: httpx.AsyncClient, base: str, chat: str, text: str) -> bytes:
    """Send a prompt with `?wait=0`; return the first events, if there are any yet."""
    body = prompt(text, chat=chat, message="m")
    answer = await client.post(f"{base}/api/chat", params={"wait": 0}, json=body)
    assert answer.status_code == 200
    return answer.content


async def past_all_proxies(client: httpx.AsyncClient, chat: str) -> bytes:
    return (await client.get("/api/chat", params={"chatId": chat, "after": 0})).content


def address(proxy: TcpProxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


async def test_polls_pass_through_a_proxy_that_holds_every_body_back(
    server: AppServer, client: httpx.AsyncClient
) -> None:
    async with BufferingProxy(port=server.port) as proxy:
        first = await ask(client, address(proxy), "buffered", "/demo tokens=60 rate=60 words=1")
        whole, responses = await poll(client, address(proxy), "buffered", wait=10)

    assert whole.startswith(first)
    assert whole == await past_all_proxies(client, "buffered")
    assert text_of(whole) == "".join(f"w{number} " for number in range(1, 61))
    assert len(responses) > 1  # the events came while the answer grew
    assert all(int(answer.headers["content-length"]) > 0 for answer in responses)


async def test_polls_pass_through_a_proxy_that_cuts_every_response_after_a_second(
    server: AppServer, client: httpx.AsyncClient
) -> None:
    async with ImpatientProxy(port=server.port, patience=1) as proxy:
        await ask(client, address(proxy), "cut", "/demo tokens=40 rate=20 words=1 pause=1.5@20")
        whole, _ = await poll(client, address(proxy), "cut", wait=10)
        cuts = proxy.cuts

    assert cuts >= 1
    assert whole == await past_all_proxies(client, "cut")
    assert text_of(whole) == "".join(f"w{number} " for number in range(1, 41))


async def test_silence_ends_a_poll_with_an_empty_body(client: httpx.AsyncClient) -> None:
    await ask(client, "", "silent", "/demo tokens=2 rate=0 words=1 pause=600@1")
    seen = b""
    while "w1 " not in text_of(seen):
        seen += (await resume(client, "silent", after=tail_of(seen), wait=10)).content

    nothing = await resume(client, "silent", after=tail_of(seen), wait=0.2)

    assert (nothing.status_code, nothing.content) == (200, b"")
    assert nothing.headers["content-length"] == "0"
    assert (await client.post("/api/chat/silent/stop")).status_code == 202


async def test_a_poll_ends_with_the_stream(client: httpx.AsyncClient) -> None:
    await ask(client, "", "short", "/demo tokens=3 rate=0")
    whole, _ = await poll(client, "", "short", wait=10)

    last = frame.offset_of(frame.split(whole)[-2])
    rest = await resume(client, "short", after=last - 1, wait=10)
    nothing = await resume(client, "short", after=last, wait=10)

    assert rest.content == b"".join(frame.split(whole)[-2:])
    assert nothing.status_code == 204


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "nan", "inf", ""])
async def test_a_wait_that_makes_no_sense_is_refused(client: httpx.AsyncClient, wait: str) -> None:
    refused = await client.get("/api/chat", params={"chatId": "c", "wait": wait})

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")


async def resume(
    client: httpx.AsyncClient, chat: str, *, after: int, wait: float
) -> httpx.Response:
    return await client.get("/api/chat", params={"chatId": chat, "after": after, "wait": wait})


def tail_of(data: bytes) -> int:
    frames = frame.split(data)
    return frame.offset_of(frames[-1]) if frames else 0
