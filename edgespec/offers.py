"""The models one can choose: their size, whether they fit, and how fast they should be here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgespec.errors import EdgespecError, NotEnoughMemory

if TYPE_CHECKING:
    from edgespec.catalog_file import Record
    from edgespec.inventory import Item
    from edgespec.machines import Machine

_GIB = 2**30
_BITS = 5.0
"""What a weight takes, roughly, in the quantizations that the catalogue lists first."""
_BESIDE = 1.2
"""What a model takes with its cache and scratch memory, roughly, in times its file's size."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of the list of names; one that is not `present` can be pulled.

    `fits` tells whether the free memory has room for it, `rate` how many tokens per second a plan
    for this machine predicts; both are None if nobody can tell. Of a pair that is still on the Hub
    they, and `size`, follow from what the catalogue says.
    """

    name: str
    description: str
    size: int
    present: bool
    fits: bool | None = None
    rate: float | None = None


def offers() -> list[Offer]:
    """All that can be run here. Reads the files' headers, which can take a moment."""
    # Not at the top: numpy and its friends would delay the first picture.
    from edgespec import catalog, machines
    from edgespec.inventory import items

    machine, entries = machines.here(), catalog.load().entries
    return [
        _offer(item, machine)
        if item.present or item.name not in entries
        else _remote_offer(item, entries[item.name].record, machine)
        for item in items()
    ]


def facts(offer: Offer, speed: float | None) -> list[str]:
    """What is known of a model whose last answer came at `speed` tokens per second, for people."""
    if not offer.present:
        return _remote_facts(offer)
    fits = {True: "fits", False: "too large", None: "not readable"}[offer.fits]
    rates = [f"{speed:.0f} tok/s"] if speed else []
    rates += [f"{offer.rate:.0f} predicted"] if offer.rate else []
    return [size_text(offer.size), fits, ", ".join(rates) or "speed not known"]


def _remote_facts(offer: Offer) -> list[str]:
    """What is known of a model that can be pulled, which is little and not exact."""
    if not offer.size or offer.rate is None:
        return ["not all here"]
    rate = f"about {offer.rate:.{offer.rate < 10:d}f} tok/s"
    return [f"about {size_text(offer.size)}", *(["fits", rate] if offer.fits else ["too large"])]


def _offer(item: "Item", machine: "Machine") -> Offer:
    from edgespec.matchmaking import best_pair
    from edgespec.placement import ask, choose

    fits = rate = None
    if item.present:
        try:
            pair = best_pair(item.name)
            question = ask.question(pair)
            known = ask.known(pair, 0, question.outputs, ask.attends(question))
            rate = choose.choose(machine, question, None, known).chosen.option.forecast.rate
            fits = True
        except NotEnoughMemory:
            fits = False
        except EdgespecError:
            fits = None
    return Offer(item.name, item.description, item.size, item.present, fits, rate)


def _remote_offer(item: "Item", record: "Record", machine: "Machine") -> Offer:
    """A pair of the catalogue that was not pulled: no header tells its sizes yet."""
    size = int(record.size * 1e9 or record.parameters * 1e9 * _BITS / 8)
    if not size:
        return Offer(item.name, item.description, 0, present=False)
    read = size * (record.active or record.parameters) / record.parameters
    fits = size * _BESIDE <= machine.free
    return Offer(item.name, item.description, size, False, fits, machine.bandwidth / read)


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 2**20:.0f} MiB"
