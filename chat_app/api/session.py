"""Who is asking: the cookie ⇄ the identity."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from chat_app.api.contract import refusals
from chat_app.api.services import Api, api
from chat_app.errors import NotAuthenticated
from chat_app.identity.identity import Identity

router = APIRouter()


Parts = Annotated[Api, Depends(api)]


async def _caller(request: Request, api: Parts) -> Identity:
    known = await api.sessions.resolve(request.cookies.get(api.session_cookie))
    await api.rates.request(known)
    return known


Caller = Annotated[Identity, Depends(_caller)]
"""The identity the request bears. Raises `NotAuthenticated` and `RateLimited`."""


class Session(BaseModel):
    """Who the caller is."""

    user_id: str


@router.post("/api/session", responses=refusals(write=True, anybody=True))
async def begin_session(request: Request, response: Response, api: Parts) -> Session:
    """Make a guest if the request bears no identity, and set the cookie that bears it."""
    try:
        known = await _caller(request, api)
        return Session(user_id=known.user_id)
    except NotAuthenticated:
        # The address of the connection: what a proxy says of its clients, anybody could say.
        await api.rates.guest(request.client.host if request.client else "")
        new = await api.sessions.create_guest()
    response.set_cookie(
        api.session_cookie,
        new.token,
        max_age=int(api.session_lifetime / timedelta(seconds=1)),
        httponly=True,  # no script can read it, so none can carry it away
        samesite="lax",  # withheld from other sites' requests; OriginGuard refuses those
        secure=api.secure_cookies or request.url.scheme == "https",
        path="/",
    )
    return Session(user_id=new.identity.user_id)
