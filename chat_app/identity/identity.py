"""Who is asking."""

from dataclasses import dataclass
from typing import NewType

UserId = NewType("UserId", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The user on whose behalf something is done; every database query is scoped to one."""

    user_id: UserId
