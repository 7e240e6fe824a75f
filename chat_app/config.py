"""Every setting, and the only place that reads the environment.

A setting comes from an environment variable of the same name in capitals, or from a `.env` file
in the working directory; the variable wins. An invalid value stops the application from starting,
with a message that names the variable. LiteLLM itself reads the providers' own variables
(`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, …), which may be in `.env` too.
"""

import os
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv import load_dotenv
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chat_app.errors import InvalidSettings

DEMO_MODEL = "demo"

_ENGINES = ("memory", "redis", "rediss", "redis+cluster", "rediss+cluster", "unix")


def _engine_url(value: str) -> str:
    if urlsplit(value).scheme not in _ENGINES:
        msg = f"must start with one of {', '.join(f'{scheme}://' for scheme in _ENGINES)}"
        raise ValueError(msg)
    return value


def _database_url(value: str) -> str:
    scheme = urlsplit(value).scheme
    if scheme.split("+")[0] not in {"sqlite", "postgresql", "postgres"}:
        msg = "must start with sqlite:/// or postgresql://"
        raise ValueError(msg)
    return value


def _seconds(value: object) -> object:
    """Read a bare number as seconds; leave anything else to pydantic (ISO 8601)."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0))]
DurationOrZero = Annotated[timedelta, BeforeValidator(_seconds), Field(ge=timedelta(0))]
Limit = Annotated[int, Field(ge=0)]


class Settings(BaseSettings):
    """Every setting, with a default: the application runs without any configuration."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    # Where things live
    redis_url: Annotated[str, AfterValidator(_engine_url)] = "memory://"
    database_url: Annotated[str, AfterValidator(_database_url)] = "sqlite:///chat.db"
    database_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = (
        timedelta(seconds=10)
    )

    # The model
    chat_model: Annotated[str, Field(min_length=1)] = DEMO_MODEL
    chat_models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)] = ()
    chat_titles: Literal["model", "rule"] = "model"
    model_api_base: str | None = None
    model_api_key: SecretStr | None = None
    system_prompt: str = "You are a helpful assistant. Answer in Markdown."
    model_request_timeout: Duration = timedelta(seconds=60)
    model_idle_timeout: Duration = timedelta(seconds=60)

    # Generations
    max_generations: Annotated[int, Field(ge=1)] = 1000
    redelivery_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=2)
    checkpoint_interval: Duration = timedelta(seconds=3)
    max_takeovers: Annotated[int, Field(ge=0)] = 10
    on_producer_loss: Literal["continue", "interrupt"] = "continue"

    # Streams
    log_prefix: Annotated[str, Field(pattern=r"^[\w:.-]+$")] = "chat"
    log_ttl: Duration = timedelta(hours=1)
    open_stream_ttl: Duration = timedelta(days=1)
    store_timeout: Duration = timedelta(seconds=5)

    # HTTP
    max_prompt_chars: Annotated[int, Field(ge=1)] = 100_000
    max_request_bytes: Annotated[int, Field(ge=1)] = 4_000_000
    heartbeat_interval: Duration = timedelta(seconds=2)
    connection_lifetime: DurationOrZero = timedelta(minutes=15)
    session_cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "chat_session"
    session_lifetime: Duration = timedelta(days=365)
    secure_cookies: Literal["auto", "always"] = "auto"
    allowed_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)] = (
        "http://localhost:3000",
        "http://127.0.0.1:3000",
    )

    # Limits, each switched off by 0
    max_prompts_per_minute: Limit = 60
    max_requests_per_minute: Limit = 600
    max_guests_per_minute: Limit = 300
    max_open_streams: Limit = 20
    max_viewers: Limit = 100
    max_chat_messages: Limit = 2000

    @property
    def demo(self) -> bool:
        """Whether the built-in demo model answers."""
        return self.chat_model == DEMO_MODEL

    @property
    def models(self) -> tuple[str, ...]:
        """The models to choose from; the first is the default."""
        return tuple(dict.fromkeys((self.chat_model, *self.chat_models)))

    @property
    def embedded(self) -> bool:
        """Whether the log lives inside this process and ends with it."""
        return urlsplit(self.redis_url).scheme == "memory"

    def summary(self) -> str:
        """Return one line for the start of the server's log, without secrets."""
        engine = "in-process engine" if self.embedded else f"Redis at {_redacted(self.redis_url)}"
        model = "the built-in demo model" if self.demo else self.chat_model
        return f"chat: {model} answers · {engine} · database {_redacted(self.database_url)}"


def load_settings() -> Settings:
    """Read the environment and `.env`.

    Raises:
        InvalidSettings: A value is invalid; the message names each such variable.
    """
    load_dotenv(".env")
    # On import, LiteLLM fetches its price list over the network unless told otherwise.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"{str(detail['loc'][0]).upper()}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_input=False)
        ]
        raise InvalidSettings("; ".join(wrong)) from None


def _redacted(url: str) -> str:
    """Return `url` without user, password and query, which may hold secrets."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    # What follows `?` is a query, or part of a password that should be percent-encoded.
    shown = "…" if "@" in query else place.rpartition("@")[2]
    return f"{scheme}://{shown}"
