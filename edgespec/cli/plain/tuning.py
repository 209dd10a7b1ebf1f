"""Settings that are changed while one chats."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from edgespec import typed
from edgespec.cli import diagnostics
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.conversation import Conversation
from edgespec.cli.plain.loaded import Loaded
from edgespec.config import FIELDS, TABLES, of_section
from edgespec.errors import InvalidInput
from edgespec.preferences import Preferences, concern_model, told

_HEADINGS = {
    "model": "Of the model, which is loaded again:",
    "answer": "Of the answers:",
    "look": "Of the chat on the whole screen:",
}
_ASSIGNMENT = re.compile(r"(\w+)(?:(\s*=\s*|\s+)(.*))?", re.DOTALL)


class Tuning:
    """What is changed takes effect at once, and is kept as the screen keeps it."""

    def __init__(
        self, preferences: Preferences, conversation: Conversation, loaded: Loaded
    ) -> None:
        self._preferences = preferences
        self._conversation = conversation
        self._loaded = loaded

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command(
                "settings",
                "[NAME[=VALUE]]",
                "shows the settings or one, or changes it for good",
                self._settings,
                lambda _: _names(),
            ),
            Command(
                "preset",
                "[NAME]",
                "uses settings that go together, or writes them, as in /preset exact: top_k = 1; "
                "without NAME, the usual ones",
                self._preset,
                lambda _: self._preferences.settings.presets,
            ),
        ]

    def change(self, **changes: Any) -> None:
        """Change settings. Raises EdgespecError, and then all is as it was."""
        new = self._preferences.changed(**changes)
        if concern_model(changes):
            self._loaded.exchange(new)
        self._preferences.change(**changes)
        self._conversation.change(self._preferences.request())

    def _settings(self, argument: str) -> None:
        if not argument:
            for section, heading in _HEADINGS.items():
                diagnostics.say(heading)
                here = of_section(section)
                diagnostics.say("\n".join(self._lines(here)))
            return
        found = _ASSIGNMENT.fullmatch(argument)
        name = found[1] if found else argument
        if found is None or name not in _names():
            raise InvalidInput(f"there is no setting {name!r}", "/settings lists them")
        if found[2]:
            self.change(**{name: typed.parse(name, found[3])})
        diagnostics.say("\n".join(self._lines([name])))

    def _lines(self, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            written = f"{name}={_written(getattr(self._preferences.settings, name))}"
            yield f"{written:<22}  {FIELDS[name].metadata['text']}"

    def _preset(self, text: str) -> None:
        chosen = self._preferences.use_preset(text)
        if "system" in chosen:
            self._conversation.talk.set_system(chosen["system"])
        self._conversation.change(self._preferences.request())
        diagnostics.say(told(self._preferences.used, chosen))


def _names() -> list[str]:
    return [name for name in FIELDS if name not in TABLES]


def _written(value: Any) -> str:
    """A value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)
