"""Whether the server could take a prompt now: for pages that wait, and for load balancers."""

from fastapi import APIRouter, Response

from chat_app.api.contract import refusals
from chat_app.api.session import Parts
from chat_app.errors import LogUnavailable

router = APIRouter()


@router.get(
    "/api/ready",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "A prompt would be accepted."},
        **refusals(LogUnavailable, anonymous=True),
    },
)
async def ready(api: Parts) -> Response:
    """204 if a prompt would be taken; 503 if the store or database is away or the server leaves."""
    await api.turns.ready()
    await api.sessions.ping()
    return Response(status_code=204)
