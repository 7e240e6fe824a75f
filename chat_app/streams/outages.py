"""A store that is away, as `LogUnavailable`."""

from collections.abc import Generator
from contextlib import contextmanager

from redis.exceptions import RedisClusterException, RedisError

from chat_app.errors import LogUnavailable

STORE_ERRORS: tuple[type[Exception], ...] = (RedisError, RedisClusterException, OSError)
"""What a store that does not answer looks like to those who use its client."""


@contextmanager
def outages_translated() -> Generator[None]:
    """Raise `LogUnavailable` for what the store's client raises."""
    try:
        yield
    except STORE_ERRORS as error:
        msg = f"the store of the streams does not answer ({type(error).__name__})"
        raise LogUnavailable(msg) from error
