"""The main screen: a conversation, the composer below it, the other conversations beside it."""

from functools import partial
from typing import TYPE_CHECKING, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from edgespec.clippings import BlockCursor
from edgespec.errors import EdgespecError, InvalidInput
from edgespec.store.records import StoredMessage
from edgespec.store.store import Store
from edgespec.store.talk import Talk
from edgespec_tui.action import Action
from edgespec_tui.actions import BY_ID
from edgespec_tui.answering import Question
from edgespec_tui.bindings import screen_bindings
from edgespec_tui.commands.conversations import remove
from edgespec_tui.keys import BACK, keymap
from edgespec_tui.loading import Loaded
from edgespec_tui.pace import Pace
from edgespec_tui.widgets.answer import AnswerView
from edgespec_tui.widgets.entry import Entry
from edgespec_tui.widgets.hardware import Hardware
from edgespec_tui.widgets.heading import Heading
from edgespec_tui.widgets.message import MessageView
from edgespec_tui.widgets.pull_line import PullLine
from edgespec_tui.widgets.sidebar import Sidebar
from edgespec_tui.widgets.stats_line import StatsLine
from edgespec_tui.widgets.transcript import Transcript
from edgespec_tui.widgets.welcome import Welcome
from edgespec_tui.writer import Writer

if TYPE_CHECKING:
    from edgespec_tui.app import ChatApp


class ChatScreen(Screen[None]):
    """Where people stay. What its keys and commands do is in edgespec_tui.commands."""

    BINDINGS = [
        *screen_bindings(),
        Binding("escape", "focus_composer", "Back", id=BACK, show=False),
    ]

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.talk = Talk(store)
        self.writer = Writer(Pace(self.chat_app.settings.refresh), self.say)
        self._waiting: StoredMessage | None = None
        self.blocks = BlockCursor()
        self._remembered: tuple[int | None, str] = (None, "")

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Sidebar(self.store)
            with Vertical(id="main"):
                yield Heading()
                yield Transcript()
                yield Welcome()
                with Vertical(id="bottom"):
                    yield Hardware()
                    yield Entry()
                    yield PullLine()
                    yield StatsLine()
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        crashed = self.chat_app.session.crashed
        await self.open(crashed.conversation if crashed else None)
        composer = self.entry.composer
        self.entry.use(keymap(self.chat_app.settings.keys))
        composer.recall_from(partial(self.store.said, 200))
        if crashed:
            composer.add(crashed.draft)
            self.say("the last session ended unexpectedly; this is where it was")
        composer.focus()
        self.set_class(self.chat_app.settings.sources, "-origins")
        self.set_interval(1 / self.chat_app.settings.refresh, self._tick)
        self.set_interval(1, self._remember)

    # What the commands work with.

    @property
    def focused_message(self) -> StoredMessage | None:
        """The message that has the focus."""
        return self.focused.message if isinstance(self.focused, MessageView) else None

    @property
    def entry(self) -> Entry:
        """Where the user types."""
        return self.query_one(Entry)

    async def open(self, conversation: int | None) -> None:
        """Show a conversation; None begins another one."""
        self.talk.save()
        running = self.writer.talk
        if running and running.id == conversation:
            running.save()
            self.talk = running
        else:
            self.talk = Talk(self.store, conversation, self.chat_app.settings.system)
        self._waiting = None
        self.entry.leave_edit()
        await self.show_path()
        self.action_focus_composer()

    async def show_path(self, focus: int | None = None) -> None:
        """Show the talk's path anew; the message `focus` gets the focus."""
        transcript = self.query_one(Transcript)
        await transcript.show(self.talk.tree, self.talk.answer, focus)
        view = transcript.views[-1] if transcript.views else None
        if self.talk.answer and isinstance(view, AnswerView):
            self.writer.attach(view)
        self.refresh_titles()

    async def answer(self, question: StoredMessage, begun: StoredMessage | None = None) -> None:
        """Answer a message of the user as soon as the model is there; go on with `begun`."""
        loaded = self.chat_app.loaded
        if loaded is None:
            self._waiting = question
            return
        facts = {"model": loaded.pair.name}
        settings = self.chat_app.request(len(self.talk.tree))
        if begun:
            self.talk.resume(begun)
        else:
            self.talk.begin(question.id, facts)
        prompt = self.talk.prompt(question.id)
        await self.show_path()
        view = self.query_one(Transcript).views[-1]
        assert isinstance(view, AnswerView)
        asked = Question(prompt, settings, begun.text if begun else "", str(self.talk.id))
        self.writer.begin(loaded, asked, self.talk, view)
        self.refresh_bindings()

    def say(self, text: str) -> None:
        """Tell the user something for a moment."""
        self.notify(text, markup=False, timeout=4)

    def refresh_titles(self) -> None:
        """Show what the conversations are called."""
        loaded = self.chat_app.loaded
        self.query_one(Heading).show(self.talk.title, loaded.pair.name if loaded else "")
        welcome = self.query_one(Welcome)
        welcome.display = not len(self.talk.tree)
        self.query_one(Transcript).display = not welcome.display
        sidebar = self.query_one(Sidebar)
        if sidebar.display:
            sidebar.reload(self.talk.id)

    # What Textual calls.

    def on_key(self, event: events.Key) -> None:
        """What is typed while nothing has the focus is meant for the composer."""
        if self.focused is None and event.is_printable and event.character:
            self.action_focus_composer()
            self.entry.insert(event.character)

    def on_screen_suspend(self) -> None:
        """A dialog has keys of its own."""
        self.query_one(Footer).visible = False

    def on_screen_resume(self) -> None:
        """The keys are this screen's again."""
        self.query_one(Footer).visible = True

    async def action_do(self, name: str, argument: str = "") -> None:
        """Do one of the actions."""
        await self.do(BY_ID[name], argument)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether something can be done now; what cannot is not in the footer."""
        return action != "do" or parameters[0] != "stop" or self.writer.busy

    def action_focus_composer(self) -> None:
        """Go back to where the user types."""
        if self.has_class("-narrow"):
            self.query_one(Sidebar).hide()
        if self.entry.composer.has_focus:
            self.entry.leave_edit()
        self.entry.composer.focus()

    def action_page(self, by: int) -> None:
        """Scroll the conversation by a screenful."""
        self.query_one(Transcript).page(by)

    def action_focus_message(self, by: int) -> None:
        """Go to the message `by` places on; past the last one is the composer."""
        current = self.focused if isinstance(self.focused, MessageView) else None
        view = self.query_one(Transcript).neighbour(current, by)
        if view:
            view.focus()
        elif by > 0:
            self.action_focus_composer()

    def loaded(self, loaded: Loaded) -> None:
        """A model is there."""
        self.refresh_titles()
        self.welcome(loaded.pair.name, loaded.engine.target.description)

    def welcome(self, model: str, description: str) -> None:
        """Introduce a model where nothing was said yet."""
        self.query_one(Welcome).show(model, description, toy=model == "nano")

    @on(Entry.Said)
    async def _said(self, event: Entry.Said) -> None:
        if self.writer.busy:
            self.entry.take_back(event)
            self.say("an answer is being written; Esc stops it")
        else:
            await self._ask(event)

    @on(Entry.Commanded)
    async def _commanded(self, event: Entry.Commanded) -> None:
        if event.action:
            await self.do(event.action, event.argument)
        else:
            self.entry.put(f"{event.word} {event.argument}".rstrip())
            self.complain(InvalidInput(f"there is no command {event.word}", "/ lists them"))

    @on(Sidebar.Opened)
    async def _opened(self, event: Sidebar.Opened) -> None:
        await self.open(event.conversation)

    @on(Sidebar.Renamed)
    async def _renamed(self, event: Sidebar.Renamed) -> None:
        await self.open(event.conversation)
        self.entry.put(f"/rename {self.talk.title}")

    @on(Sidebar.Deleted)
    async def _deleted(self, event: Sidebar.Deleted) -> None:
        try:
            await remove(self, event.conversation)
        except EdgespecError as error:
            self.complain(error)

    async def _ask(self, said: Entry.Said) -> None:
        if said.edited:
            question = self.talk.say(said.text, said.edited.parent)
        else:
            question = self.talk.ask(said.text)
        self._remember()
        await self.show_path()
        await self.answer(question)

    def _remember(self) -> None:
        """Keep what a crash shall not lose beyond what the store has."""
        now = self.talk.id, self.entry.text
        if now != self._remembered:
            self._remembered = now
            self.chat_app.remember(*now)

    async def _tick(self) -> None:
        try:
            if self._waiting and self.chat_app.loaded:
                question, self._waiting = self._waiting, None
                await self.answer(question)
            if await self.writer.tick():
                self.refresh_bindings()
            panel = self.query_one(Hardware)
            if panel.display and self.writer.fresh:
                panel.show(self.writer.live)
        except EdgespecError as error:
            self.refresh_bindings()
            self.complain(error)
        self._show_state()

    def _show_state(self) -> None:
        line, app = self.query_one(StatsLine), self.chat_app
        self.query_one(PullLine).show(app.pulling)
        if app.problem:
            line.show_problem(str(app.problem))
        elif app.loaded is None and app.loading:
            line.show_loading(app.loading.what, app.loading.fraction)
        elif app.loaded:
            here = self.writer.busy or self.writer.conversation == self.talk.id
            state = "writing" if self.writer.busy else "ready"
            line.show(state, self.writer.live if here else None, app.loaded.engine.n_ctx)

    async def do(self, action: Action, argument: str = "") -> None:
        """Do something; say so if it is not possible."""
        try:
            done = action.run(self, argument)
            if done is not None:
                await done
        except EdgespecError as error:
            self.complain(error)

    def complain(self, error: EdgespecError) -> None:
        """Tell the user what is not possible, and why."""
        self.notify(str(error), severity="error", markup=False, timeout=8)

    @property
    def chat_app(self) -> "ChatApp":
        """The application, by its own type."""
        return cast("ChatApp", self.app)
