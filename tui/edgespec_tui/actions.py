"""Everything that can be done, in one table: keys, commands, palette and help come from it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from edgespec_tui.commands import answers, clipboard, conversations, views

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


ACTIONS = (
    Action("stop", "Stop", "Stop the answer; what came stays.", answers.stop, "escape", shown=True),
    Action(
        "help",
        "Help",
        "Show what the focused part is for, and all keys and commands.",
        views.show_help,
        "f1",
        word="help",
        shown=True,
    ),
    Action(
        "palette",
        "Commands",
        "Find anything that can be done, and any conversation.",
        views.palette,
        "ctrl+p",
        shown=True,
    ),
    Action(
        "new",
        "New chat",
        "Begin another conversation.",
        conversations.new,
        "ctrl+n",
        word="new",
        shown=True,
    ),
    Action(
        "chats",
        "Chats",
        "Show or hide the conversations.",
        views.chats,
        "ctrl+b",
        word="chats",
        shown=True,
    ),
    Action(
        "regenerate",
        "Regenerate",
        "Answer once more; the old answer stays beside it.",
        answers.regenerate,
        "ctrl+r",
        "r",
        "regen",
    ),
    Action(
        "continue",
        "Continue",
        "Go on with an answer that was stopped or cut off.",
        answers.resume,
        own_key="n",
        word="continue",
    ),
    Action(
        "edit",
        "Edit",
        "Write a message anew, beside the old one.",
        answers.edit,
        "ctrl+up",
        "e",
        "edit",
    ),
    Action(
        "previous",
        "Alternative before",
        "Show the alternative before this one.",
        answers.previous,
        "alt+left",
        "left",
        "prev",
    ),
    Action(
        "next",
        "Alternative after",
        "Show the alternative after this one.",
        answers.following,
        "alt+right",
        "right",
        "next",
    ),
    Action(
        "copy",
        "Copy",
        "Copy a message.",
        clipboard.copy,
        own_key="c",
        word="copy",
    ),
    Action(
        "copy-code",
        "Copy code",
        "Copy a message's last block of code; again for the one before.",
        clipboard.copy_code,
        own_key="x",
        word="code",
    ),
    Action(
        "copy-all",
        "Copy the conversation",
        "Copy all that is shown, as Markdown.",
        clipboard.copy_all,
        word="copyall",
    ),
    Action(
        "quote",
        "Quote",
        "Quote a message in the reply.",
        clipboard.quote,
        own_key="q",
        word="quote",
    ),
    Action(
        "thought",
        "Thought",
        "Unfold what the model thought before it answered.",
        views.thought,
        own_key="t",
        word="thought",
    ),
    Action(
        "rename",
        "Rename",
        "Give the conversation another title.",
        conversations.rename,
        word="rename",
        argument="TITLE",
    ),
    Action(
        "delete",
        "Delete",
        "Delete the conversation; /undo brings it back.",
        conversations.delete,
        word="delete",
    ),
    Action(
        "undo",
        "Undo delete",
        "Bring back the conversation deleted last.",
        conversations.undo,
        word="undo",
    ),
    Action(
        "system",
        "System message",
        "Set the conversation's system message; without a text, remove it.",
        conversations.system,
        word="system",
        argument="[TEXT]",
    ),
    Action(
        "export",
        "Export",
        "Write the conversation into a new file: .json with all branches, else Markdown.",
        conversations.export,
        word="export",
        argument="FILE",
        choices=conversations.files,
    ),
    Action(
        "import",
        "Import",
        "Read a conversation that was exported as .json.",
        conversations.import_,
        word="import",
        argument="FILE",
        choices=conversations.files,
    ),
    Action(
        "open",
        "Open whole",
        "Read a message in your editor.",
        views.open_whole,
        own_key="o",
        word="open",
    ),
    Action(
        "editor",
        "Editor",
        "Write the message in your editor ($VISUAL or $EDITOR).",
        views.editor,
        "ctrl+g",
        word="editor",
    ),
    Action(
        "hardware",
        "Hardware",
        "Show what target and drafter do, and what becomes of the drafts.",
        views.hardware,
        "ctrl+t",
        word="hardware",
        shown=True,
    ),
    Action(
        "origins",
        "Token sources",
        "Mark what came from the target, the drafter and suffix matches.",
        views.origins,
        "ctrl+o",
        word="origins",
    ),
    Action(
        "theme",
        "Theme",
        "Choose the colours; without a name, the next ones.",
        views.theme,
        word="theme",
        argument="[NAME]",
        choices=views.themes,
    ),
    Action(
        "settings",
        "Settings",
        "Change settings; they are kept in a file.",
        views.settings,
        "f2",
        word="settings",
    ),
    Action(
        "key",
        "Key",
        "Give an action other keys, as in /key new f9; without keys, its usual ones.",
        views.key,
        word="key",
        argument="ACTION [KEYS]",
        choices=views.keys,
    ),
    Action(
        "preset",
        "Preset",
        "Use settings that go together; without a name, the usual ones.",
        conversations.preset,
        word="preset",
        argument="[NAME]",
        choices=conversations.presets,
    ),
    Action(
        "models",
        "Models",
        "Choose a model; the conversation goes on with it.",
        views.models,
        "f3",
        word="model",
        argument="[NAME|FILE]",
    ),
    Action(
        "pull",
        "Pull a model",
        "Get a model and its drafter in the background; without a name, stop that.",
        views.pull,
        word="pull",
        argument="[NAME]",
    ),
    Action(
        "quit", "Quit", "Leave. Nothing is lost.", views.leave, "ctrl+q", word="quit", shown=True
    ),
)
BY_ID = {action.id: action for action in ACTIONS}
BY_WORD = {action.word: action for action in ACTIONS if action.word}


def screen_bindings() -> list[BindingType]:
    """The keys that work everywhere."""
    return [
        Binding(
            action.key,
            f"screen.do('{action.id}')",
            action.title,
            id=action.id,
            show=action.shown,
            tooltip=action.help,
            priority=action.key != "escape",
        )
        for action in ACTIONS
        if action.key
    ]


def message_bindings() -> list[BindingType]:
    """The keys that work on a message."""
    return [
        Binding(
            action.own_key,
            f"screen.do('{action.id}')",
            action.title,
            id=f"{action.id}-message",
            show=action.own_key not in ("left", "right"),
            tooltip=action.help,
        )
        for action in ACTIONS
        if action.own_key
    ]
