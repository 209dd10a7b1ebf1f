"""The settings: one line for each, checked as it is typed, kept in the user's file."""

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

from edgespec import config
from edgespec.cli.output import printable
from edgespec.config import FIELDS, Settings
from edgespec.errors import EdgespecError, InvalidInput


class SettingsScreen(ModalScreen[dict[str, Any]]):
    """Returns what was changed. What cannot be used is explained below its line and not kept."""

    HELP = """
    ## Settings

    **Tab**, **Enter** and **Shift+Tab** go from line to line, **Esc** keeps what was changed and
    closes. What concerns the model loads it again. Presets are sections of the file,
    **[presets.NAME]**; **/preset NAME** uses one. **/key** gives an action other keys.
    """
    BINDINGS = [
        Binding("escape", "close", "Close"),
        Binding("f2", "close", id="settings"),
        Binding("f1", "app.explain", id="help"),
    ]

    def __init__(self, settings: Settings, themes: list[str]) -> None:
        super().__init__()
        self._settings = settings
        self._themes = themes
        self._changes: dict[str, Any] = {}

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Settings"
            dialog.border_subtitle = "Tab moves · Esc keeps and closes"
            section = ""
            for name, item in FIELDS.items():
                if name in config.TABLES:
                    continue
                if item.metadata["section"] != section:
                    section = item.metadata["section"]
                    yield Label(section.capitalize(), classes="section")
                yield SettingRow(name, _shown(getattr(self._settings, name)), self._themes)
            kept = f"kept in {config.file()}, where presets are, too; /key changes keys"
            yield Static(printable(kept), classes="note", markup=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = event.input.id or ""
        row = self.query_one(f"#row-{name}", SettingRow)
        try:
            value = config.parse(name, event.value)
            if name == "theme" and value not in ("", *self._themes):
                raise InvalidInput(value, f"there are {', '.join(self._themes)}")
        except EdgespecError as error:
            row.explain(printable(error.hint))
            self._changes.pop(name, None)
            return
        row.explain("")
        if value == getattr(self._settings, name):
            self._changes.pop(name, None)
        else:
            self._changes[name] = value

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    def action_close(self) -> None:
        """Return what was changed."""
        self.dismiss(self._changes)


class SettingRow(Horizontal):
    """One setting: its name, its value, and what it means or what is wrong with it."""

    def __init__(self, name: str, value: str, themes: list[str]) -> None:
        super().__init__(id=f"row-{name}")
        self._key = name
        self._value = value
        self._suggester = SuggestFromList(themes) if name == "theme" else None

    def compose(self) -> ComposeResult:
        yield Label(self._key.replace("_", " "), classes="key")
        yield Input(self._value, id=self._key, compact=True, suggester=self._suggester)
        yield Static(FIELDS[self._key].metadata["text"], classes="note", markup=False)

    def explain(self, problem: str) -> None:
        """Say what is wrong with the value, if anything is."""
        note = self.query_one(".note", Static)
        note.update(problem or FIELDS[self._key].metadata["text"])
        note.set_class(bool(problem), "problem")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
