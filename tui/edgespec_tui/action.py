"""Something that can be done, and the ways to do it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgespec_tui.screens.chat import ChatScreen

Run = Callable[["ChatScreen", str], Awaitable[None] | None]
Choices = Callable[["ChatScreen", str], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do. `key` works everywhere, `own_key` on a message, `/word` in the composer.

    `argument` names what a command takes, in brackets if it can do without, and `choices` tells
    what one that was begun can become; `shown` puts it into the footer.
    """

    id: str
    title: str
    help: str
    run: Run
    key: str = ""
    own_key: str = ""
    word: str = ""
    argument: str = ""
    shown: bool = False
    choices: Choices = lambda _screen, _begun: ()

    @property
    def needs_argument(self) -> bool:
        """Whether the command means nothing alone."""
        return bool(self.argument) and not self.argument.startswith("[")

    @property
    def usage(self) -> str:
        """How to write it as a command."""
        return f"/{self.word} {self.argument}".rstrip()
