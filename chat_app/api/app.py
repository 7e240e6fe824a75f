"""The HTTP edge as one FastAPI application, mounted beside the page."""

from fastapi import FastAPI

from chat_app.api import chat, session
from chat_app.api.body_limit import BodyLimit
from chat_app.api.errors import add_error_handlers


def create_api(*, max_body_bytes: int) -> FastAPI:
    """The routes; `app.state.api` must be set before the first request."""
    app = FastAPI(title="Chat", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.include_router(session.router)
    app.include_router(chat.router)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    add_error_handlers(app)
    return app
