"""Models that are pulled from the Hub, watched or beside the chat."""

from edgespec.background_pull import Pulling
from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.plain.commands import Command
from edgespec.cli.progress import describe
from edgespec.cli.table import size_text
from edgespec.errors import InvalidInput
from edgespec.inventory import items

_LOOK = 0.1
_STEP = 10
"""Per cent between two lines."""


class Pulls:
    """One pull at a time. A person can stop watching it, and chat meanwhile."""

    def __init__(self, *, personal: bool) -> None:
        self._personal = personal
        self._pulling: Pulling | None = None
        self._planned = False
        self._line = ""

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command(
                "pull",
                "[NAME]",
                "gets a model and its drafter; without a name, stops that",
                self.pull,
                lambda _: [item.name for item in items() if not item.present],
            )
        ]

    def pull(self, name: str) -> None:
        """Get a model, and watch it come; without a name, stop that. Raises EdgespecError."""
        if not name and not self._pulling:
            raise InvalidInput("nothing is being pulled", "/pull hf:owner/repository")
        if not name:
            self.close()
        elif self._pulling is None:
            self._pulling, self._planned, self._line = Pulling(name), False, ""
        elif name != self._pulling.name:
            raise InvalidInput(f"{self._pulling.name} is being pulled", "/pull stops that")
        self._watch()

    def look(self) -> None:
        """Tell what is new of a pull. Raises EdgespecError if it failed."""
        pulling = self._pulling
        if pulling is None:
            return
        if pulling.plan and not self._planned:
            self._planned = True
            for chosen in pulling.plan.models:
                diagnostics.say(describe(chosen))
            for note in pulling.plan.notes:
                diagnostics.note(note)
        if pulling.over:
            self._pulling = None
            diagnostics.say(pulling.told)
        elif pulling.total and (line := _line(pulling)) != self._line:
            self._line = line
            diagnostics.say(line)

    def close(self) -> None:
        """Stop; what was fetched is kept."""
        if self._pulling:
            self._pulling.stop()

    def _watch(self) -> None:
        with Interrupts() as interrupts:
            while self._pulling and not interrupts.pressed:
                self._pulling.join(_LOOK)
                self.look()
        if not interrupts.pressed:
            return
        if not self._personal or interrupts.ending:
            self.close()
            raise interrupts.raised
        diagnostics.say("\nit goes on beside the chat; the same command watches, /pull stops it")


def _line(pulling: Pulling) -> str:
    done = pulling.done * 100 // pulling.total
    trouble = f", {pulling.trouble}" if pulling.trouble else ""
    return f"{pulling.name}: {done - done % _STEP} % of {size_text(pulling.total)}{trouble}"
