"""What can be typed beside messages, in one table: running, help and completion come from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgespec.attachments import completions
from edgespec.errors import InvalidInput

Choices = Callable[[str], Iterable[str]]
"""What a word that was begun can become."""

_NEEDED = {"FILE": "the name of a file", "TITLE": "a title", "N": "a number"}


@dataclass(frozen=True, slots=True)
class Command:
    """`/word`. `argument` names what it takes, in brackets if it can do without; see `choices`."""

    word: str
    argument: str
    help: str
    run: Callable[[str], None]
    choices: Choices = lambda _: ()

    @property
    def usage(self) -> str:
        """How to write it."""
        return f"/{self.word} {self.argument}".rstrip()

    def __call__(self, argument: str) -> None:
        """Do it. Raises InvalidInput without an argument that it needs, or with one it does not."""
        if argument and not self.argument:
            raise InvalidInput(f"/{self.word} takes nothing", "/help lists the commands")
        if not argument and self.argument and not self.argument.startswith("["):
            raise InvalidInput(f"/{self.word} needs {_NEEDED[self.argument]}")
        self.run(argument)


class Commands:
    """All commands; what begins with a slash and is none of them is a mistake."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands = {command.word: command for command in commands}

    @property
    def help(self) -> dict[str, str]:
        """What each does, by how to write it."""
        return {command.usage: command.help for command in self._commands.values()}

    def run(self, word: str, argument: str) -> None:
        """Do what `/word argument` says. Raises EdgespecError."""
        if word not in self._commands:
            raise InvalidInput(f"there is no command /{word}", "/help lists them")
        self._commands[word](argument)

    def complete(self, line: str) -> list[str]:
        """What the last word of `line` can become: a command, its argument, or a file's @path."""
        head, space, word = line.rpartition(" ")
        if word.startswith("@"):
            return completions(word)
        if not space:
            known = self._commands.values()
            words = [f"/{command.word}" + " " * bool(command.argument) for command in known]
        else:
            command = self._commands.get(head[1:]) if head.startswith("/") else None
            words = list(command.choices(word)) if command else []
        return [choice for choice in words if choice.startswith(word)]
