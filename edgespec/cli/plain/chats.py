"""The conversations that are kept, the same that the screen has."""

from edgespec.attachments import files
from edgespec.cli import diagnostics
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.conversation import Conversation
from edgespec.cli.plain.messages import tell
from edgespec.errors import InvalidInput
from edgespec.preferences import Preferences
from edgespec.store.exchange import read, write, write_new
from edgespec.store.records import Summary
from edgespec.store.store import Store
from edgespec.store.talk import Talk

_LISTED = 50


class Chats:
    """Lists, opens and changes what `store` keeps; `conversation` is the one that is open.

    A person is told what was done.
    """

    def __init__(
        self,
        store: Store,
        conversation: Conversation,
        preferences: Preferences,
        *,
        personal: bool,
    ) -> None:
        self._store = store
        self._conversation = conversation
        self._preferences = preferences
        self._personal = personal

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command("new", "", "begins another conversation", self._new),
            Command("reset", "", "begins anew, but for the system message", self._reset),
            Command("chats", "[WORDS]", "lists the conversations, or those with WORDS", self._list),
            Command("goto", "N", "goes on with conversation N of the list", self._go),
            Command("rename", "TITLE", "gives the conversation another title", self._rename),
            Command("delete", "", "deletes the conversation", self._delete),
            Command("undo", "", "brings back what was deleted last", self._undo),
            Command(
                "system", "[TEXT]", "sets its system message; without TEXT, removes it",
                self._system,
            ),
            Command(
                "export", "FILE", "writes it into a new file, .json with all branches",
                self._export, files,
            ),
            Command(
                "import", "FILE", "reads a conversation that was exported as .json",
                self._import, files,
            ),
            Command("save", "FILE", "writes what was said into a new file", self._save, files),
        ]  # fmt: skip

    def open(self, conversation: int) -> None:
        """Go on with a conversation, and say again how it ended."""
        self._conversation.talk = Talk(self._store, conversation)
        diagnostics.say(f"{self._conversation.talk.title}\n")
        tell(self._conversation.talk, self._conversation.talk.path()[-2:])

    def _new(self, _argument: str) -> None:
        self._begin(self._preferences.settings.system)

    def _reset(self, _argument: str) -> None:
        self._begin(self._conversation.talk.system)

    def _begin(self, system: str) -> None:
        self._conversation.talk = Talk(self._store, system=system)
        self._confirm("a new conversation")

    def _list(self, words: str) -> None:
        found = self._store.summaries(words, _LISTED)
        diagnostics.say("\n".join(map(self._line, found)) or "there is none")

    def _line(self, summary: Summary) -> str:
        excerpt = f": {summary.excerpt}" if summary.excerpt else ""
        here = ", open" if summary.id == self._conversation.talk.id else ""
        return f"{summary.id:>5}  {summary.title}{excerpt}{here}"

    def _go(self, argument: str) -> None:
        if not argument.isdecimal() or not self._store.title(int(argument)):
            raise InvalidInput(f"there is no conversation {argument!r}", "/chats lists them")
        self.open(int(argument))

    def _rename(self, title: str) -> None:
        self._conversation.talk.rename(title)
        self._confirm(f"it is called {title}")

    def _delete(self, _argument: str) -> None:
        if self._conversation.talk.id is None:
            raise InvalidInput("nothing was said yet")
        self._store.delete(self._conversation.talk.id)
        self._conversation.talk = Talk(self._store, system=self._preferences.settings.system)
        diagnostics.say("deleted; /undo brings it back")

    def _undo(self, _argument: str) -> None:
        deleted = self._store.last_deleted()
        if deleted is None:
            raise InvalidInput("nothing was deleted")
        self._store.restore(deleted)
        self.open(deleted)

    def _system(self, text: str) -> None:
        self._conversation.talk.set_system(text)
        self._confirm("the system message is " + ("set" if text else "removed"))

    def _export(self, name: str) -> None:
        write(self._conversation.talk, name)
        self._confirm(f"the conversation is in {name}")

    def _import(self, name: str) -> None:
        self.open(read(self._store, name))

    def _save(self, name: str) -> None:
        said = self._conversation.messages
        turns = [f"{message.role.capitalize()}: {message.content}\n" for message in said]
        write_new(name, "\n".join(turns))
        self._confirm(f"the conversation is in {name}")

    def _confirm(self, text: str) -> None:
        if self._personal:
            diagnostics.say(text)
