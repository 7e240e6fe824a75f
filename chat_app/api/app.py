"""The HTTP edge as one FastAPI application, mounted beside the page."""

from collections.abc import Collection
from itertools import chain

from fastapi import FastAPI, HTTPException, Request
from starlette.routing import Match, Route

from chat_app.api import chat, chats, ready, session
from chat_app.api.body_limit import BodyLimit
from chat_app.api.contract import DocumentedAPI
from chat_app.api.errors import add_error_handlers
from chat_app.api.origins import OriginGuard


def create_api(*, max_body_bytes: int, allowed_origins: Collection[str]) -> FastAPI:
    """Create the API; `app.state.api` must be set before the first request.

    Args:
        max_body_bytes: The longest request body.
        allowed_origins: Origins on other hosts whose pages may send requests.
    """
    app = DocumentedAPI(
        title="Chat", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    for router in _ROUTERS:
        app.include_router(router)
    # The page is mounted behind these routes, and would answer any path they do not know.
    app.add_api_route("/api/{path:path}", _unknown, methods=_METHODS, include_in_schema=False)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(OriginGuard, allowed=allowed_origins)
    add_error_handlers(app)
    return app


_ROUTERS = (session.router, chat.router, chats.router, ready.router)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"]


async def _unknown(request: Request, path: str) -> None:
    allowed: set[str] = set()
    for route in chain.from_iterable(router.routes for router in _ROUTERS):
        if isinstance(route, Route) and route.matches(request.scope)[0] == Match.PARTIAL:
            allowed |= route.methods or set()
    if allowed:
        headers = {"allow": ", ".join(sorted(allowed))}
        raise HTTPException(405, f"{request.method} is not allowed on /api/{path}", headers)
    raise HTTPException(404, f"there is no /api/{path}")
