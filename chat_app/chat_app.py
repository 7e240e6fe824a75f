"""The composition root: the page, the API and the parts behind both, as one Reflex application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import reflex as rx

from chat_app.api.app import create_api
from chat_app.api.origins import origin_check
from chat_app.api.services import Api
from chat_app.api.sse import Viewers
from chat_app.bootstrap import open_services
from chat_app.config import load_settings
from chat_app.shutdown import on_shutdown_signal
from chat_app.ui.page import add_pages

settings = load_settings()
api = create_api(
    max_body_bytes=settings.max_request_bytes, allowed_origins=settings.allowed_origins
)


@asynccontextmanager
async def lifespan() -> AsyncGenerator[None]:
    """Open the parts before the first request, and close them after the last."""
    viewers = Viewers(max_per_user=settings.max_viewers)
    async with open_services(settings) as services:
        api.state.api = Api(
            sessions=services.sessions,
            chats=services.chats,
            turns=services.turns,
            upkeep=services.upkeep,
            rates=services.rates,
            session_cookie=settings.session_cookie,
            session_lifetime=settings.session_lifetime,
            secure_cookies=settings.secure_cookies == "always",
            heartbeat=settings.heartbeat_interval,
            lifetime=settings.connection_lifetime or None,
            viewers=viewers,
        )

        def leave() -> None:
            services.generations.leave()
            viewers.break_off()

        with on_shutdown_signal(leave):
            yield


app = rx.App(api_transformer=api)
app.register_lifespan_task(lifespan)
if app.sio is not None:
    app.sio.eio.cors_allowed_origins = origin_check(settings.allowed_origins)
add_pages(app)
