"""`edgespec pair`: which drafters fit a target, and which is best here."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgespec.cli.options import ENVIRONMENT
from edgespec.cli.output import Output

if TYPE_CHECKING:
    from edgespec.headers import Header
    from edgespec.matchmaking import Target
    from edgespec.ranking import Suggestion

_HEAD = ("DRAFTER", "VOCABULARY", "ACCEPTANCE", "STEP", "SPEED", "")
_FITS = ("none", "by bytes", "fits", "same")


@click.command(context_settings=ENVIRONMENT)
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pair(target: str, as_json: bool) -> None:
    """Rank the drafters that fit TARGET, a name or a file.

    ACCEPTANCE is the chance that a drafted token is right, STEP the time of a drafter's step and
    SPEED the tokens per second to expect, both against the target alone. They are measured if the
    pair has run here before, else follow from the files' sizes and a prior.
    """
    from edgespec.hub.client import is_offline
    from edgespec.matchmaking import find_target, suggestions

    subject = find_target(target, _read_remote)
    ranked = suggestions(subject, None if is_offline() else _read_remote)
    if as_json:
        text = json.dumps(_record(subject, ranked), indent=2) + "\n"
    else:
        text = _table(ranked) if ranked else f"no drafter for {subject.name} is known\n"
    Output().write(text)


def _read_remote(name: str) -> "tuple[str, Header]":
    from edgespec.hub.choice import Room, look_up

    return look_up(name, Room())


def _record(target: "Target", ranked: "list[Suggestion]") -> dict[str, object]:
    drafters = [
        asdict(one) | {"fit": one.fit.name.lower(), "usable": one.fit.usable} for one in ranked
    ]
    return {"target": target.name, "drafters": drafters}


def _table(ranked: "list[Suggestion]") -> str:
    from edgespec.cli.table import table

    return table([_HEAD, *map(_row, ranked)])


def _row(one: "Suggestion") -> tuple[str, ...]:
    how = "measured" if one.measured else "estimated"
    notes = [*(() if one.here else ("not here",)), *one.warnings]
    if not one.fit.usable:
        return one.name, _FITS[one.fit], "-", "-", "-", "; ".join(notes)
    speed = f"{one.speedup:.2f}x"
    return (
        one.name,
        _FITS[one.fit],
        f"{one.acceptance:.0%}",
        f"{one.step:.0%}",
        speed,
        "; ".join([how, *notes]),
    )
