"""The messages that are shown, by number, and the one that commands are about."""

from edgespec.cli import diagnostics
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.conversation import Conversation
from edgespec.editor import edit
from edgespec.errors import InvalidInput
from edgespec.messages import Role
from edgespec.store.records import StoredMessage
from edgespec.store.talk import Talk
from edgespec.thinking import divide

_NAMES = {Role.USER: "You", Role.ASSISTANT: "Assistant"}
_WIDTH = 60


class Messages:
    """Commands are about the conversation's last messages, unless one was chosen by its number."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command(
                "messages",
                "[N]",
                "lists the messages; with N, reads one out, which the next command is about",
                self._list,
            ),
            Command("prev", "", "goes to the alternative before", lambda _: self._step(-1)),
            Command("next", "", "goes to the alternative after", lambda _: self._step(1)),
            Command("thought", "", "tells what the model thought before it answered", self._think),
            Command("open", "", "opens a message in $VISUAL or $EDITOR", self._open),
        ]

    @property
    def answer(self) -> StoredMessage:
        """The message that was chosen, or the last answer. Raises InvalidInput if there is none."""
        if chosen := self._conversation.chosen:
            return chosen
        for message in reversed(self._conversation.talk.path()):
            if message.role is Role.ASSISTANT:
                return message
        raise InvalidInput("nothing was answered yet")

    def _list(self, argument: str) -> None:
        talk = self._conversation.talk
        path = talk.path()
        if not argument:
            lines = [f"{at:>3}  {_line(talk, message)}" for at, message in enumerate(path, 1)]
            diagnostics.say("\n".join(lines) or "nothing was said yet")
            return
        if not argument.isdecimal() or not 1 <= int(argument) <= len(path):
            raise InvalidInput(f"there is no message {argument!r}", "/messages lists them")
        self._conversation.choose(path[int(argument) - 1])
        tell(talk, path[int(argument) - 1 : int(argument)])

    def _step(self, by: int) -> None:
        talk = self._conversation.talk
        branching = [m for m in talk.path() if talk.tree.siblings(m.id)[1] > 1]
        message = self._conversation.chosen or (branching[-1] if branching else None)
        moved = talk.step(message.id, by) if message else None
        if moved is None:
            raise InvalidInput("there is no alternative")
        if self._conversation.chosen:
            self._conversation.choose(talk.tree[moved])
        path = talk.path()
        tell(talk, path[path.index(talk.tree[moved]) :])

    def _think(self, _argument: str) -> None:
        thought = divide(self.answer.text).thought
        diagnostics.say(f"{thought}\n" if thought else "nothing was thought before it")

    def _open(self, _argument: str) -> None:
        path = self._conversation.talk.path()
        if not path:
            raise InvalidInput("nothing was said yet")
        edit((self._conversation.chosen or path[-1]).text)


def tell(talk: Talk, messages: list[StoredMessage]) -> None:
    """Say again what was said, without what was thought before it."""
    for message in messages:
        diagnostics.say(f"{_speaker(talk, message)}: {divide(message.text).answer}\n")


def _speaker(talk: Talk, message: StoredMessage) -> str:
    """Who said it, and which of its alternatives it is."""
    place, count = talk.tree.siblings(message.id)
    return _NAMES[message.role] + (f" {place}/{count}" if count > 1 else "")


def _line(talk: Talk, message: StoredMessage) -> str:
    text = " ".join(divide(message.text).answer[: 4 * _WIDTH].split())
    short = text if len(text) <= _WIDTH else text[: _WIDTH - 1].rstrip() + "…"
    return f"{_speaker(talk, message)}: {short}"
