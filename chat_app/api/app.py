"""The HTTP edge as one FastAPI application, mounted beside the page."""

from collections.abc import Collection

from fastapi import FastAPI, HTTPException

from chat_app.api import chat, chats, session
from chat_app.api.body_limit import BodyLimit
from chat_app.api.errors import add_error_handlers
from chat_app.api.origins import OriginGuard


def create_api(*, max_body_bytes: int, allowed_origins: Collection[str]) -> FastAPI:
    """The routes; `app.state.api` must be set before the first request.

    Args:
        max_body_bytes: The longest request.
        allowed_origins: Pages of other hosts that may send requests.
    """
    app = FastAPI(title="Chat", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.include_router(session.router)
    app.include_router(chat.router)
    app.include_router(chats.router)
    # Behind these routes lies the page, which would answer for whatever they do not know.
    app.add_api_route("/api/{path:path}", _unknown, methods=_METHODS, include_in_schema=False)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(OriginGuard, allowed=allowed_origins)
    add_error_handlers(app)
    return app


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


async def _unknown(path: str) -> None:
    raise HTTPException(404, f"there is no /api/{path}")
