"""Which pages may open a websocket or change anything.

A request that another site's page makes the browser send uses the visitor's cookie, or replaces it.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_app.api.errors import error_response
from chat_app.errors import ForbiddenOrigin

OriginCheck = Callable[[str | None, Mapping[str, Any]], bool]


def origin_check(allowed: Collection[str]) -> OriginCheck:
    """A check that passes `allowed` and the server's own pages, under any name it is reached by.

    The name is what the browser put into `Host`, or what a proxy in front says it was: a page
    cannot forge either.
    """

    def may_connect(origin: str | None, environ: Mapping[str, Any]) -> bool:
        if origin is None or origin in allowed:
            return True  # no origin: not a browser, so no visitor's cookies are abused
        own = environ.get("HTTP_X_FORWARDED_HOST", environ.get("HTTP_HOST", ""))
        page = _host(origin)
        return page != "" and page == own.split(",")[0].strip()

    return may_connect


class OriginGuard:
    """Answers 403 to writes that another site's page sends to the API, before they take effect.

    Reads are left to CORS, which keeps the answer from such a page. Writes are not: a form that
    submits itself is sent without a preflight, and `POST /api/session` would replace the visitor's
    cookie, which SameSite has withheld, with that of a new guest.
    """

    def __init__(self, app: ASGIApp, *, allowed: Collection[str]) -> None:
        self._app = app
        self._may_call = origin_check(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on reads, and writes from an own or allowed page or from no page at all."""
        guarded = scope["type"] == "http" and scope["path"].startswith("/api/")
        if (
            guarded
            and scope["method"] not in _SAFE_METHODS
            and self._is_foreign(Headers(scope=scope))
        ):
            await error_response(403, ForbiddenOrigin.code, _FOREIGN)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "cross-site"
        names = {"HTTP_HOST": "host", "HTTP_X_FORWARDED_HOST": "x-forwarded-host"}
        environ = {key: headers[name] for key, name in names.items() if name in headers}
        return not self._may_call(origin, environ)


_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_FOREIGN = "requests from this origin are not allowed; see ALLOWED_ORIGINS"


def _host(origin: str) -> str:
    """The host and port of an origin; "" if it has none, like a sandboxed frame's `null`."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
