"""What may complete what is being typed: commands, or files to attach."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from edgespec.attachments import begun, completions
from edgespec.cli.output import printable
from edgespec_tui.action import Action
from edgespec_tui.actions import ACTIONS, BY_WORD

Choices = Callable[[Action, str], Iterable[str]]
"""What an action's argument that was begun can become."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that can stand in place of `typed`; `action` if it is a command."""

    typed: str
    text: str
    label: Content
    action: Action | None = None


class Suggestions(OptionList, can_focus=False):
    """Shown above the composer."""

    def __init__(self) -> None:
        super().__init__(markup=False, compact=True)
        self.display = False
        self._offered: Sequence[Suggestion] = ()

    def offer(self, suggestions: Sequence[Suggestion]) -> bool:
        """Show them; True if there are any."""
        self._offered = suggestions
        self.display = bool(suggestions)
        if suggestions:
            self.set_options(Option(suggestion.label) for suggestion in suggestions)
            self.highlighted = 0
        return bool(suggestions)

    def move(self, by: int) -> None:
        """Highlight the one `by` places on, around the ends."""
        if self.option_count:
            self.highlighted = ((self.highlighted or 0) + by) % self.option_count

    @property
    def chosen(self) -> Suggestion:
        """The highlighted one."""
        return self._offered[self.highlighted or 0]


def suggest(text: str, before: str, choices: Choices) -> list[Suggestion]:
    """What fits `text`, of which `before` is the line up to the cursor."""
    if mention := begun(before):
        return _words(mention, completions(mention))
    word, space, argument = text.partition(" ")
    if space and word[:1] == "/" and text == before:
        action = BY_WORD.get(word[1:])
        words = choices(action, argument) if action else ()
        return _words(argument, [each for each in words if each.startswith(argument)])
    return [
        Suggestion(text, f"/{action.word} ", _label(action), action) for action in matching(text)
    ]


def _words(typed: str, words: Sequence[str]) -> list[Suggestion]:
    """`words` in place of what was typed; none if it is one of them already."""
    if typed in words:
        return []
    return [Suggestion(typed, word, Content.styled(printable(word), "$primary")) for word in words]


def matching(text: str) -> list[Action]:
    """The actions whose command begins with `text`, which begins with a slash itself."""
    word = text.removeprefix("/")
    if not text.startswith("/") or not (word == "" or word.isalpha()):
        return []
    return [action for action in ACTIONS if action.word and action.word.startswith(word)]


def _label(action: Action) -> Content:
    return Content.assemble((f"{action.usage:<16}", "$primary"), (f" {action.help}", "$muted"))
