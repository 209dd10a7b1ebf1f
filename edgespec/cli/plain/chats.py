"""The chat's commands on conversations that are kept: line by line, what the screen has as well."""

from collections.abc import Callable
from pathlib import Path

from edgespec.chat import Role
from edgespec.cli import diagnostics
from edgespec.cli.plain.conversation import Conversation
from edgespec.errors import InvalidInput
from edgespec.store.exchange import from_json, to_json, to_markdown
from edgespec.store.records import StoredMessage
from edgespec.store.store import Store
from edgespec.store.talk import Talk

Command = tuple[Callable[[str], None], str, str]

_NAMES = {Role.USER: "User", Role.ASSISTANT: "Assistant"}


class Chats:
    """Lists, opens and changes what `store` keeps; `conversation` is the one that is open."""

    def __init__(self, store: Store, conversation: Conversation) -> None:
        self._store = store
        self._conversation = conversation

    @property
    def commands(self) -> dict[str, Command]:
        """What can be typed, what it takes and what it does."""
        return {
            "/new": (self._new, "", "begins another conversation"),
            "/chats": (self._list, "WORDS", "lists the conversations, or those with WORDS"),
            "/open": (self._open, "N", "goes on with conversation N of the list"),
            "/rename": (self._rename, "TITLE", "gives the conversation another title"),
            "/delete": (self._delete, "", "deletes the conversation"),
            "/undo": (self._undo, "", "brings back what was deleted last"),
            "/prev": (lambda _: self._step(-1), "", "goes to the alternative before"),
            "/next": (lambda _: self._step(1), "", "goes to the alternative after"),
            "/export": (self._export, "FILE", "writes it into a new file, .json with all branches"),
            "/import": (self._import, "FILE", "reads a conversation that was exported as .json"),
        }

    def _new(self, _argument: str) -> None:
        self._conversation.talk = Talk(self._store, system=self._conversation.talk.system)

    def _list(self, words: str) -> None:
        found = self._store.summaries(words, 50)
        lines = [f"{summary.id:>5}  {summary.title}" for summary in found]
        diagnostics.say("\n".join(lines) or "there is none")

    def _open(self, argument: str) -> None:
        if not argument.isdecimal() or not self._store.title(int(argument)):
            raise InvalidInput(f"there is no conversation {argument!r}", "/chats lists them")
        self._show(int(argument))

    def _rename(self, title: str) -> None:
        if not title:
            raise InvalidInput("/rename needs a title")
        self._conversation.talk.rename(title)

    def _delete(self, _argument: str) -> None:
        if self._conversation.talk.id is None:
            raise InvalidInput("nothing was said yet")
        self._store.delete(self._conversation.talk.id)
        self._new("")
        diagnostics.say("deleted; /undo brings it back")

    def _undo(self, _argument: str) -> None:
        deleted = self._store.last_deleted()
        if deleted is None:
            raise InvalidInput("nothing was deleted")
        self._store.restore(deleted)
        self._show(deleted)

    def _step(self, by: int) -> None:
        talk = self._conversation.talk
        branching = [m for m in talk.path() if talk.tree.siblings(m.id)[1] > 1]
        if not branching or talk.step(branching[-1].id, by) is None:
            raise InvalidInput("there is no alternative")
        self._tell(talk.path()[-1:])

    def _export(self, name: str) -> None:
        if not name:
            raise InvalidInput("/export needs the name of a file")
        talk = self._conversation.talk
        as_json = name.lower().endswith(".json")
        text = (
            to_json(talk.title, talk.system, talk.tree)
            if as_json
            else to_markdown(talk.title, talk.system, talk.path())
        )
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write(text)
        except (OSError, ValueError, RuntimeError) as error:
            raise InvalidInput(f"{name!r} cannot be written: {_reason(error)}") from error

    def _import(self, name: str) -> None:
        if not name:
            raise InvalidInput("/import needs the name of a file")
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError, RuntimeError) as error:
            raise InvalidInput(f"{name!r} cannot be read: {_reason(error)}") from error
        self._show(from_json(self._store, text))

    def _show(self, conversation: int) -> None:
        self._conversation.talk = Talk(self._store, conversation)
        diagnostics.say(f"{self._conversation.talk.title}\n")
        self._tell(self._conversation.talk.path()[-2:])

    def _tell(self, messages: list[StoredMessage]) -> None:
        """Say again what was said."""
        for message in messages:
            diagnostics.say(f"{_NAMES[message.role]}: {message.text}\n")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
