"""`Principal`: who asks."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["ADMIN", "Principal", "is_scope"]

ADMIN = "admin"
"""The scope of those who see, and may cancel, the jobs of all."""

_LONGEST_ID = 512
_SCOPE = re.compile(r"[!#-\[\]-~]+")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as an authenticator has found out.

    Raises:
        ValueError: if the id can't be kept with a job: it is empty, longer than 512 characters, or has one that can't
            be printed.
    """

    id: str
    """Unique among all principals of the service, and the same each time."""
    name: str | None = field(default=None, kw_only=True)
    """For people. None: it has none."""
    scopes: frozenset[str] = field(default=frozenset(), kw_only=True)
    """What it may do; any iterable of words is taken."""

    def __post_init__(self) -> None:
        given: object = self.id
        if not isinstance(given, str) or not 0 < len(given) <= _LONGEST_ID or not given.isprintable():
            raise ValueError("the id of a principal must be 1 to 512 characters that can be printed")
        scopes: object = self.scopes
        if not isinstance(scopes, frozenset):  # a list, say
            if isinstance(scopes, str) or not isinstance(scopes, Iterable):
                raise ValueError("the scopes of a principal must be a set of words")
            object.__setattr__(self, "scopes", frozenset(scopes))

    @property
    def sees_all(self) -> bool:
        """Whether the jobs of others exist for it: it has the scope ``admin``."""
        return ADMIN in self.scopes

    def lacks(self, scopes: Iterable[str]) -> list[str]:
        """Those of these scopes that it does not have, sorted."""
        return sorted(set(scopes) - self.scopes)


def is_scope(value: object) -> bool:
    """Whether it is a text that can be a scope (scope-token of RFC 6749, 3.3)."""
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None
