"""The application: settings, the store and the model, which outlive every screen."""

import gc
import os
from dataclasses import replace
from typing import Any

from textual.app import App

from edgespec import config
from edgespec.background_pull import Pulling
from edgespec.cli.output import printable
from edgespec.config import Settings
from edgespec.errors import EdgespecError, InvalidInput
from edgespec.events import Request
from edgespec.preferences import Preferences, concern_model
from edgespec.store.session import Session
from edgespec.store.store import Store
from edgespec_tui import endings, keys, themes
from edgespec_tui.loading import Loaded, Loading
from edgespec_tui.palette import ActionProvider, ConversationProvider
from edgespec_tui.screens.chat import ChatScreen
from edgespec_tui.widgets.prose import warm_up

_PATIENCE = 0.4
"""Seconds for which a part that is being closed is waited for."""


class ChatApp(App[None]):
    """The chat over an open store; it loads the model once the first picture is there."""

    CSS_PATH = "chat.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-normal")]
    TITLE = "edgespec"
    COMMANDS = {ActionProvider, ConversationProvider}
    COMMAND_PALETTE_BINDING = "ctrl+backslash"

    def __init__(self, settings: Settings, store: Store, stop: tuple[str, ...] = ()) -> None:
        # Or Textual would make greys of the colours, which are colours, too.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.preferences = Preferences(settings, config.file(), stop)
        self.store = store
        self.session = Session(store)
        self.loaded: Loaded | None = None
        self.loading: Loading | None = None
        self.pulling: Pulling | None = None
        self.problem: EdgespecError | None = None
        self.clean = True
        """False if something of the engine still runs when the application has ended."""
        self.defect: Exception | None = None
        """What nobody foresaw and what ended the application."""
        self.ended_by: int | None = None
        """The signal by which the system ended it."""
        self._let_go = False
        for theme in themes.OWN:
            self.register_theme(theme)
        self._set_theme()

    @property
    def settings(self) -> Settings:
        """The user's settings."""
        return self.preferences.settings

    def on_mount(self) -> None:
        endings.listen(self._end)
        self.set_keymap(keys.bindings(self.settings.keys))
        self.push_screen(ChatScreen(self.store))
        self.call_after_refresh(self._begin)
        self.set_interval(0.1, self._look)

    def _begin(self) -> None:
        """The first picture is there."""
        gc.enable()
        self.load()
        self.run_worker(warm_up, thread=True)

    def load(self) -> None:
        """Load the pair that the settings name, in place of the one that is loaded."""
        self.problem = None
        if self.loading:
            self.loading.cancel()
        old, self.loaded = self.loaded, None
        self.loading = Loading(self.settings, old.engine.close if old else lambda: None)

    def notify(self, message: str, **options: Any) -> None:
        """Tell the user something; it may quote what came from a file or a model."""
        super().notify(printable(message), **options)

    def pull(self, name: str) -> None:
        """Get a model from the Hub, or stop that. Raises InvalidInput if that is not possible."""
        if not name and self.pulling:
            self.pulling.stop()
        elif not name:
            raise InvalidInput("nothing is being pulled", "/pull hf:owner/repository")
        elif self.pulling:
            raise InvalidInput(f"{self.pulling.name} is being pulled", "/pull stops that")
        else:
            self.pulling = Pulling(name)

    def request(self, said: int) -> Request:
        """What to ask of the engine, but for the prompt, after `said` messages.

        Every answer has a seed of its own, so that an answer that is asked for again differs.
        """
        request = self.preferences.request()
        seed = (request.sampling.seed + said // 2) % 2**64
        return replace(request, sampling=replace(request.sampling, seed=seed))

    def change(self, **changes: Any) -> None:
        """Change settings, for good. Raises EdgespecError."""
        keys.check_all(self.preferences.changed(**changes).keys)
        self.preferences.change(**changes)
        if "theme" in changes:
            self._set_theme()
        if "keys" in changes:
            self._use_keys()
        if concern_model(changes):
            self.load()

    def _use_keys(self) -> None:
        own = self.settings.keys
        self.set_keymap(keys.bindings(own))
        for screen in self.screen_stack:
            if isinstance(screen, ChatScreen):
                screen.entry.use(keys.keymap(own))

    def remember(self, conversation: int | None, draft: str) -> None:
        """What to come back to after a crash."""
        self.session.remember(conversation, draft)

    def _end(self, number: int) -> None:
        self.ended_by = number
        self.close()
        self.exit()

    def action_help_quit(self) -> None:
        """Ctrl+C where there is nothing to copy: whoever presses it wants to stop or to leave."""
        named = {name: keys.named(its) for name, its in keys.keymap(self.settings.keys).items()}
        self.notify(
            f"{named['stop']} stops an answer, {named['quit']} leaves; nothing is lost",
            markup=False,
        )

    def action_explain(self) -> None:
        """Open the help on the focused part."""
        from edgespec_tui.screens.help import HelpScreen, about

        keymap = keys.keymap(self.settings.keys)
        self.push_screen(HelpScreen(about(self.focused or self.screen), keymap))

    async def action_quit(self) -> None:
        """Leave: what was written is saved, what runs is stopped."""
        self.close()
        self.exit()

    def close(self) -> None:
        """Save everything and let go of the engine. Idempotent."""
        if self._let_go:
            return
        self._let_go = True
        for screen in self.screen_stack:
            if isinstance(screen, ChatScreen):
                self.clean &= screen.writer.close(_PATIENCE)
        if self.pulling:
            self.pulling.stop()
        if self.loading:
            self.loading.cancel()
            self.clean &= self.loading.join(_PATIENCE)
        self.session.goodbye()

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours and their shades."""
        return super().get_css_variables() | themes.shades(self.current_theme)

    def _look_for_pulled(self) -> None:
        pulling = self.pulling
        if pulling is None or not pulling.over:
            return
        self.pulling = None
        try:
            self.notify(pulling.told, markup=False, timeout=10)
        except EdgespecError as error:
            self.notify(str(error), severity="error", markup=False, timeout=10)

    def _set_theme(self) -> None:
        wanted = self.settings.theme
        self.theme = wanted if wanted in self.available_themes else themes.usual()

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print a traceback over whatever the user had on the terminal.
        self.defect = error
        super()._handle_exception(error)
        self._exit_renderables.clear()

    def _look(self) -> None:
        """See whether the model has come, and what was pulled."""
        self._look_for_pulled()
        loading = self.loading
        if loading is None or not loading.over:
            return
        self.loading = None
        if isinstance(loading.outcome, EdgespecError):
            self.problem = loading.outcome
        elif loading.outcome:
            self.loaded = loading.outcome
            for screen in self.screen_stack:
                if isinstance(screen, ChatScreen):
                    screen.loaded(self.loaded)
