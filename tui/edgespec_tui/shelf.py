"""The models one can choose: their size, whether they fit, and how fast they should be here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgespec.errors import EdgespecError, NotEnoughMemory

if TYPE_CHECKING:
    from edgespec.inventory import Item
    from edgespec.machines import Machine

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of the list of names. One that is not `present` was pulled in part.

    `fits` tells whether the free memory has room for it, `rate` how many tokens per second a plan
    for this machine predicts; both are None if nobody can tell.
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
    from edgespec import machines
    from edgespec.inventory import items

    machine = machines.here()
    return [_offer(item, machine) for item in items()]


def _offer(item: "Item", machine: "Machine") -> Offer:
    from edgespec.catalog import resolve
    from edgespec.placement import ask, choose

    fits = rate = None
    if item.present:
        try:
            pair = resolve(item.name)
            question = ask.question(pair)
            known = ask.known(pair, 0, question.outputs)
            rate = choose.choose(machine, question, None, known).chosen.option.forecast.rate
            fits = True
        except NotEnoughMemory:
            fits = False
        except EdgespecError:
            fits = None
    return Offer(item.name, item.description, item.size, item.present, fits, rate)


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 2**20:.0f} MiB"
