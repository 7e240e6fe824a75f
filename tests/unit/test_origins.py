"""Which pages may open a websocket."""

import pytest

from chat_app.api.origins import origin_check

ALLOWED = ("http://localhost:3000",)

CASES = {
    "its own page": ("https://chat.example", {"HTTP_HOST": "chat.example"}, True),
    "its own page on a port": ("http://10.0.0.1:3000", {"HTTP_HOST": "10.0.0.1:3000"}, True),
    "another port": ("http://10.0.0.1:4000", {"HTTP_HOST": "10.0.0.1:3000"}, False),
    "an allowed page": ("http://localhost:3000", {"HTTP_HOST": "127.0.0.1:8000"}, True),
    "another site": ("https://evil.example", {"HTTP_HOST": "chat.example"}, False),
    "a site whose name begins alike": (
        "https://chat.example.evil.example",
        {"HTTP_HOST": "chat.example"},
        False,
    ),
    "a name before the host": ("https://chat.example@evil", {"HTTP_HOST": "chat.example"}, False),
    "a page from nowhere": ("null", {"HTTP_HOST": "chat.example"}, False),
    "a page from nowhere without a host": ("null", {}, False),
    "an empty origin": ("", {}, False),
    "no page at all": (None, {"HTTP_HOST": "chat.example"}, True),
    "behind a proxy": (
        "https://chat.example",
        {"HTTP_HOST": "10.0.0.1:3000", "HTTP_X_FORWARDED_HOST": "chat.example"},
        True,
    ),
    "behind two proxies": (
        "https://chat.example",
        {"HTTP_HOST": "10.0.0.1", "HTTP_X_FORWARDED_HOST": "chat.example , inner.example"},
        True,
    ),
    "another site behind a proxy": (
        "https://evil.example",
        {"HTTP_HOST": "10.0.0.1:3000", "HTTP_X_FORWARDED_HOST": "chat.example"},
        False,
    ),
    "something that is no address": ("http://[", {"HTTP_HOST": "chat.example"}, False),
}


@pytest.mark.parametrize("what", CASES)
def test_a_page_may_connect_if_it_is_the_servers_own_or_allowed(what: str) -> None:
    origin, environ, expected = CASES[what]

    assert origin_check(ALLOWED)(origin, environ) is expected
