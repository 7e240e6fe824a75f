"""Who is asking: the cookie ⇄ the identity."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from chat_app.api.services import Api, api
from chat_app.errors import NotAuthenticated
from chat_app.identity.identity import Identity

router = APIRouter()


async def identity(request: Request, api: Annotated[Api, Depends(api)]) -> Identity:
    """The identity the request bears. Raises `NotAuthenticated`."""
    return await api.sessions.resolve(request.cookies.get(api.session_cookie))


Caller = Annotated[Identity, Depends(identity)]


class Session(BaseModel):
    """Who the caller is."""

    user_id: str


@router.post("/api/session")
async def begin_session(
    request: Request, response: Response, api: Annotated[Api, Depends(api)]
) -> Session:
    """Make a guest if the request bears no identity, and set the cookie that bears it."""
    try:
        known = await identity(request, api)
        return Session(user_id=known.user_id)
    except NotAuthenticated:
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
