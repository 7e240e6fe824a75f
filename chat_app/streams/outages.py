"""Outages of the store, as `LogUnavailable`."""

from collections.abc import Generator
from contextlib import contextmanager

from redis.exceptions import RedisClusterException, RedisError

from chat_app.errors import LogUnavailable

STORE_ERRORS: tuple[type[Exception], ...] = (RedisError, RedisClusterException, OSError)
"""What a call to the store raises when the store does not answer."""


@contextmanager
def outages_translated() -> Generator[None]:
    """Raise `LogUnavailable` in place of `STORE_ERRORS`."""
    try:
        yield
    except STORE_ERRORS as error:
        msg = f"the stream store does not answer ({type(error).__name__})"
        raise LogUnavailable(msg) from error
