"""The settings: one line for each, checked as it is typed, kept in the user's file."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from edgespec import config, typed
from edgespec.cli.output import printable
from edgespec.config import FIELDS, TABLES, Settings
from edgespec.errors import InvalidInput
from edgespec_tui import keys
from edgespec_tui.widgets.setting_row import SettingRow

_PRESET = 'As in top_k = 1, system = "Be brief."; nothing removes it.'
_NEW_PRESET = 'As in exact: top_k = 1, system = "Be brief."'


class SettingsScreen(ModalScreen[dict[str, Any]]):
    """Returns what was changed. What cannot be used is explained beside it and not kept."""

    HELP = """
    ## Settings

    **Tab**, **Enter** and **Shift+Tab** go from line to line, **Esc** keeps what was changed and
    closes. What concerns the model loads it again. Presets are settings of answers that go
    together; **/preset NAME** uses one. Keys are written as in **ctrl+r**, or **ctrl+r,f5**;
    where none are, the usual ones are shown.
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
        self._of_keys = {name: self._key_row(name, usual) for name, usual in keys.USUAL.items()}

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Settings"
            dialog.border_subtitle = "Tab moves · Esc keeps and closes"
            for section in ("model", "answer", "look"):
                yield Label(section.capitalize(), classes="section")
                yield from map(self._setting_row, config.of_section(section))
            yield Label("Presets", classes="section")
            yield from self._preset_rows()
            yield Label("Keys", classes="section")
            yield from self._of_keys.values()
            kept = f"kept in {config.file()}"
            yield Static(printable(kept), classes="note", markup=False)

    def _setting_row(self, name: str) -> SettingRow:
        value = getattr(self._settings, name)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return SettingRow(
            name.replace("_", " "),
            text,
            FIELDS[name].metadata["text"],
            partial(self._setting, name),
            choices=self._themes if name == "theme" else (),
            field=name,
        )

    def _preset_rows(self) -> Iterator[SettingRow]:
        for name, values in self._settings.presets.items():
            yield SettingRow(name, typed.spell(values), _PRESET, partial(self._preset, name))
        yield SettingRow("new preset", "", _NEW_PRESET, self._new_preset, field="new-preset")

    def _key_row(self, name: str, usual: str) -> SettingRow:
        own = self._settings.keys.get(name, "")
        parse = partial(self._key, name)
        return SettingRow(
            name.removesuffix(keys.ON_MESSAGE),
            own,
            keys.meaning(name),
            parse,
            usual=usual,
            field=f"{name}-key",
        )

    def _setting(self, name: str, text: str) -> dict[str, Any]:
        value = typed.parse(name, text)
        if name == "theme" and value not in ("", *self._themes):
            raise InvalidInput(f"there is no theme {value}", f"there are {', '.join(self._themes)}")
        return {name: value}

    def _preset(self, name: str, text: str) -> dict[str, Any]:
        return {"presets": {name: typed.parse_preset(text)}}

    def _new_preset(self, text: str) -> dict[str, Any]:
        name, _, values = text.partition(":")
        if not name.strip() or not values.strip():
            raise InvalidInput("it needs a name and settings", _NEW_PRESET)
        return self._preset(name.strip(), values)

    def _key(self, name: str, text: str) -> dict[str, Any]:
        rows = self._of_keys.items()
        others = {other: _keys(row.text) for other, row in rows if other != name and row.text}
        keys.check(name, _keys(text), others)
        return {"keys": {name: _keys(text)}}

    @on(SettingRow.Typed)
    def _look_at_keys(self) -> None:
        """What has a key decides about what others can have."""
        for row in self._of_keys.values():
            row.check()

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    def action_close(self) -> None:
        """Return what was changed."""
        changes: dict[str, Any] = {}
        for row in self.query(SettingRow):
            for name, value in row.changes.items():
                both = {**changes.get(name, {}), **value} if name in TABLES else value
                changes[name] = both
        self.dismiss(changes)


def _keys(text: str) -> str:
    """Keys as they are kept."""
    return text.replace(" ", "").lower()
