"""Who is asking."""

from dataclasses import dataclass
from typing import NewType

UserId = NewType("UserId", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user on whose behalf something is done; every query of the database is scoped by it."""

    user_id: UserId
