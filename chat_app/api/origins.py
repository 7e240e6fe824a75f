"""Which pages may open a websocket: one made by another site would act with the visitor's cookie."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

OriginCheck = Callable[[str | None, Mapping[str, Any]], bool]


def origin_check(allowed: Collection[str]) -> OriginCheck:
    """A check that passes the server's own pages, under whatever name it is reached, and `allowed`.

    The name is what the browser put into `Host`, or what a proxy in front says it was: a page
    cannot forge either.
    """

    def may_connect(origin: str | None, environ: Mapping[str, Any]) -> bool:
        if origin is None or origin in allowed:
            return True  # no origin: not a browser, so nobody's cookies are borrowed
        own = environ.get("HTTP_X_FORWARDED_HOST", environ.get("HTTP_HOST", ""))
        page = _host(origin)
        return page != "" and page == own.split(",")[0].strip()

    return may_connect


def _host(origin: str) -> str:
    """Name and port of an origin; "" if it has none, as that of a sandboxed frame: `null`."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
