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
        return urlsplit(origin).netloc == own.split(",")[0].strip()

    return may_connect
