"""One answer that a client waits for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter

from edgespec.events import Finish, Request, Token


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that will not be finished, and why; `status` is HTTP's."""

    message: str
    status: int = 500


News = Token | Finish | Broken
"""What a client is told: tokens, then one of the others."""


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way. `tell` is called on the threads that compute and returns at once.

    `client` is who asks; what is `background` gives way to what is not.
    """

    request: Request
    client: str
    tell: Callable[[News], None]
    background: bool = False
    arrived: float = field(default_factory=perf_counter)
    first: float = 0.0
    """When its first token was there."""
    emitted: list[int] = field(default_factory=list)
    cancelled: bool = False

    @property
    def rest(self) -> Request:
        """What is left to do."""
        return replace(self.request, begun=tuple(self.emitted))
