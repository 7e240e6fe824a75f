"""Who is looking at the page, and how a first visitor gets a session."""

from http.cookies import CookieError, SimpleCookie

import reflex as rx

from chat_app.bootstrap import services
from chat_app.errors import NotAuthenticated
from chat_app.identity.identity import Identity
from chat_app.ui.shown import short_name
from chat_app.ui.theme import NOTICE

_gate = rx.asset(path="session_gate.jsx", shared=True)

_REFUSALS = {
    "cookies": (
        "This page needs a cookie to remember you.",
        "Allow cookies for this site, then reload the page.",
    ),
    "server": (
        "The server could not start a session.",
        "Reload the page in a moment.",
    ),
}


class SessionState(rx.State):
    """Whether the browser has a session, which model answers it, and how long a prompt may be.

    Holds neither the token nor the user.

    Attributes:
        model: The model that answers unless another is chosen.
        models: The models to choose from; the browser remembers the choice as `chosen`.
    """

    model: str = ""
    models: rx.Field[list[str]] = rx.field(default_factory=list)
    chosen: str = rx.LocalStorage("", name="chat.model", sync=True)
    max_prompt_chars: int = 0
    missing: bool = False
    refusal: str = ""
    remedy: str = ""

    @rx.var
    def answering_model(self) -> str:
        """The model that answers the next prompt: the one chosen, if it is offered."""
        return self.chosen if self.chosen in self.models else self.model

    @rx.var
    def offered(self) -> dict[str, str]:
        """The models and their names on the page: the short one, unless two models share it."""
        short = [short_name(model) for model in self.models]
        return {
            model: name if short.count(name) == 1 else model
            for model, name in zip(self.models, short, strict=True)
        }

    @rx.var
    def answering_name(self) -> str:
        """The short name of that model."""
        return short_name(self.answering_model)

    @rx.event
    def choose_model(self, name: str) -> None:
        """Have this model answer from now on."""
        self.chosen = name if name in self.models else ""

    @rx.event
    def note_refusal(self, cause: str) -> None:
        """Say why there is no session, and what to do."""
        self.refusal, self.remedy = _REFUSALS.get(cause, _REFUSALS["server"])


class SessionGate(rx.Component):
    """Asks the API for a session as soon as it is mounted, then reloads the page."""

    library = _gate.importable_path
    tag = "SessionGate"

    on_refused: rx.EventHandler[rx.event.passthrough_event_spec(str)]


async def identify(state: rx.State) -> Identity | None:
    """Return the visitor on whose behalf an event is handled.

    The cookie is the one that came with the page's connection; it never leaves the server.

    Returns:
        None if there is no valid session. The page then gets one and reloads, so the handler has
        nothing left to do.
    """
    session = await state.get_state(SessionState)
    try:
        identity = await services().sessions.resolve(_session_token(state))
    except NotAuthenticated:
        session.missing = True
        return None
    session.model = services().settings.chat_model
    session.models = list(services().settings.models)
    session.max_prompt_chars = services().settings.max_prompt_chars
    session.missing = False
    session.refusal = ""
    return identity


def _session_token(state: rx.State) -> str | None:
    try:
        cookies = SimpleCookie(state.router.headers.cookie)
    except CookieError:
        return None
    morsel = cookies.get(services().settings.session_cookie)
    return None if morsel is None else morsel.value


def session_gate() -> rx.Component:
    """Gets a visitor without a session one, or says why there is none."""
    return rx.cond(
        SessionState.missing,
        rx.fragment(
            SessionGate.create(on_refused=SessionState.note_refusal),
            rx.cond(
                SessionState.refusal != "",
                rx.el.div(
                    rx.el.strong(SessionState.refusal),
                    rx.el.span(SessionState.remedy),
                    role="alert",
                    data_testid="session-refused",
                    class_name=f"{NOTICE} fixed inset-x-4 top-4 z-10 mx-auto max-w-md",
                ),
            ),
        ),
    )
