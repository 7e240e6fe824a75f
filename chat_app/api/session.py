"""Who is asking: the cookie ⇄ the identity."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from chat_app.api.contract import refusals
from chat_app.api.services import Api, api
from chat_app.errors import NotAuthenticated
from chat_app.identity.identity import Identity

router = APIRouter()


Parts = Annotated[Api, Depends(api)]


async def _identify(request: Request) -> Identity:
    parts = api(request)
    known = await parts.sessions.resolve(request.cookies.get(parts.session_cookie))
    await parts.rates.request(known)
    return known


class CallerRoute(APIRoute):
    """A route for callers with an identity.

    The caller is identified, and the request counted, before its body is read: FastAPI reads and
    parses it before any dependency, and megabytes from unknown callers would hold up all others.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, behind that check."""
        handle = super().get_route_handler()

        async def handle_identified(request: Request) -> Response:
            request.scope[_CALLER] = await _identify(request)
            return await handle(request)

        return handle_identified


async def _caller(request: Request) -> Identity:
    return request.scope[_CALLER]


_CALLER = "chat_app.caller"

Caller = Annotated[Identity, Depends(_caller)]
"""The identity that a request to a `CallerRoute` bears.

The route raises `NotAuthenticated` and `RateLimited`.
"""


class Session(BaseModel):
    """Who the caller is."""

    user_id: str


@router.post("/api/session", responses=refusals(write=True, anonymous=True))
async def begin_session(request: Request, response: Response, api: Parts) -> Session:
    """Create a guest if the request bears no identity, and set the guest's cookie."""
    try:
        known = await _identify(request)
        return Session(user_id=known.user_id)
    except NotAuthenticated:
        # The connection's own address: a header in which a proxy names its client can be forged.
        await api.rates.guest(request.client.host if request.client else "")
        new = await api.sessions.create_guest()
    response.set_cookie(
        api.session_cookie,
        new.token,
        max_age=int(api.session_lifetime / timedelta(seconds=1)),
        httponly=True,  # no script can read it, so none can steal it
        samesite="lax",  # withheld from other sites' requests; OriginGuard refuses those
        secure=api.secure_cookies or request.url.scheme == "https",
        path="/",
    )
    return Session(user_id=new.identity.user_id)
