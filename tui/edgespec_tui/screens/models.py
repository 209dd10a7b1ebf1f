"""The models: choose one of the catalogue, or a file of one's own."""

from collections.abc import Callable

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from edgespec.cli.output import printable
from edgespec.errors import EdgespecError
from edgespec.offers import Offer, facts, offers

_WIDE, _NAME = 76, 20
"""Columns from which on facts have room beside the name, and the name's own."""


class ModelsScreen(ModalScreen[str]):
    """Returns the name or the path that was chosen, None if nothing was.

    What begins with hf: and is not complete here is to be pulled.
    """

    HELP = """
    ## Models

    **Enter** loads the highlighted model and goes on with the conversation; one marked **↓** is
    pulled first, while you chat. **Tab** goes to the line below, which takes a file, a folder or a
    name of the Hub. The speeds are those of its last answer here, and those that a plan predicts.
    """
    BINDINGS = [
        Binding("escape", "dismiss", "Close"),
        Binding("f3", "dismiss", id="models"),
        Binding("f1", "app.explain", id="help"),
    ]

    def __init__(self, current: str, speed_of: Callable[[str], float | None]) -> None:
        super().__init__()
        self._current = current
        self._speeds = speed_of
        self._found: list[Offer] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Models"
            dialog.border_subtitle = "Enter loads, and pulls ↓ first · Esc closes"
            yield OptionList(markup=False)
            yield Input(
                placeholder="or a GGUF file, a folder with one, hf:owner/repository", compact=True
            )

    def on_mount(self) -> None:
        self.query_one(OptionList).loading = True
        self._look()

    @work(thread=True)
    def _look(self) -> None:
        try:
            found = offers()
        except EdgespecError as error:
            self.notify(str(error), severity="error", markup=False)
            found = []
        self.app.call_from_thread(self._show, found)

    def _show(self, found: list[Offer]) -> None:
        if not self.is_attached:
            return
        self._found = found
        options = self.query_one(OptionList)
        options.loading = False
        options.set_options(Option(self._row(offer)) for offer in found)
        names = [offer.name for offer in found]
        options.highlighted = names.index(self._current) if self._current in names else 0
        options.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._found[event.option_index].name)

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        if text := event.value.strip():
            self.dismiss(text)

    def _row(self, offer: Offer) -> Content:
        """Its name, its facts beside that where there is room, and what it is below."""
        name = printable(offer.name)
        wide = self.app.size.width >= _WIDE
        known = " · ".join(facts(offer, self._speeds(offer.name)))
        mark = " ●" if offer.name == self._current else "  " if offer.present else " ↓"
        first = Content.assemble(
            (f"{name:{_NAME if wide else 0}}", "bold"),
            (mark, "$primary"),
            "  " if wide else "\n",
            known,
        )
        about = Content.styled(printable(offer.description), "$muted")
        return Content("\n").join([first, about])
