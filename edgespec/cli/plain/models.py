"""The models one can go on with."""

from edgespec.cli import diagnostics
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.loaded import Loaded
from edgespec.cli.plain.pulls import Pulls
from edgespec.cli.plain.tuning import Tuning
from edgespec.inventory import is_to_be_pulled, items
from edgespec.offers import Offer, facts, offers
from edgespec.store.store import Store


class Models:
    """Lists them, and loads or pulls them; `store` knows how fast they were."""

    def __init__(self, loaded: Loaded, tuning: Tuning, pulls: Pulls, store: Store) -> None:
        self._loaded = loaded
        self._tuning = tuning
        self._pulls = pulls
        self._store = store

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command(
                "model",
                "[NAME|FILE]",
                "goes on with another model, for good; without a name, lists them",
                self._model,
                lambda _: [item.name for item in items()],
            )
        ]

    def _model(self, name: str) -> None:
        if name and is_to_be_pulled(name):
            self._pulls.pull(name)
        elif name:
            self._tuning.change(model=name, drafter="")
            diagnostics.say(f"{self._loaded.name} is loaded; the conversation goes on with it")
        else:
            diagnostics.say("\n".join(map(self._line, offers())))

    def _line(self, offer: Offer) -> str:
        known = facts(offer, self._store.speed(offer.name))
        if offer.name == self._loaded.name:
            known.append("in use")
        elif not offer.present:
            known.append("to be pulled")
        return f"{offer.name}: {', '.join(known)}; {offer.description}"
