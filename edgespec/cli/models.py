"""`edgespec models`: what has a name, what is on this machine, and looking after it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgespec.cli.diagnostics import Progress
from edgespec.cli.options import ENVIRONMENT
from edgespec.cli.output import Output

if TYPE_CHECKING:
    from edgespec.catalog import Entry
    from edgespec.hub.client import Found
    from edgespec.inventory import Item
    from edgespec.library import Installed

_HEAD = ("NAME", "SIZE", "CONTEXT", "LICENCE", "DESCRIPTION")


@click.group()
def models() -> None:
    """List the models that have a name, and look after those on this machine."""


@models.command("list", context_settings=ENVIRONMENT)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_models(as_json: bool) -> None:
    """List the catalogue's pairs and the models on this machine, also other programs'.

    A GGUF file can be given wherever a name can.
    """
    from edgespec.cli.table import table
    from edgespec.inventory import items

    output = Output()
    if as_json:
        output.write(json.dumps([item.record() for item in items()], indent=2) + "\n")
    else:
        output.write(table([_HEAD, *map(_row, items())]))


@models.command(context_settings=ENVIRONMENT)
@click.argument("text")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=20, show_default=True, metavar="N",
    help="Repositories of the Hub to list at most.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def search(text: str, limit: int, as_json: bool) -> None:
    """Find models whose name has TEXT: in the catalogue, and GGUF repositories of the Hub.

    Those of the Hub that were downloaded most come first. Without the Hub, those of the catalogue
    are shown, and why there are no others.
    """
    from edgespec.catalog import entries
    from edgespec.cli.diagnostics import note
    from edgespec.hub.client import Hub, is_offline

    own = [entry for entry in entries() if text.lower() in entry.name.lower()]
    if is_offline():
        note("HF_HUB_OFFLINE is set: only the catalogue was searched")
    found: list[Found] = []
    try:
        found = [] if is_offline() else Hub().search(text, limit)
    finally:  # What the catalogue has is shown, whatever becomes of the Hub.
        Output().write(_matches_json(own, found) if as_json else _matches(own, found))


@models.command(context_settings=ENVIRONMENT)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def show(name: str, as_json: bool) -> None:
    """Tell what the model NAME is and what it needs."""
    from edgespec.inventory import details

    facts = details(name)
    text = json.dumps(facts, indent=2) + "\n" if as_json else _facts(facts)
    Output().write(text)


@models.command(context_settings=ENVIRONMENT)
@click.argument("name")
def path(name: str) -> None:
    """Print where the model NAME is."""
    from edgespec.catalog import resolve

    Output().write(f"{resolve(name, speculate=False).target}\n")


@models.command(context_settings=ENVIRONMENT)
@click.argument("name")
def rm(name: str) -> None:
    """Remove the model NAME of the Hub, whole or half fetched, from this machine.

    Files that another model or another program uses stay.
    """
    from edgespec.cli.table import size_text
    from edgespec.errors import EdgespecError
    from edgespec.library import Library

    installed = _installed(name)
    try:
        freed = Library().remove(installed)
    except OSError as error:
        reason = error.strerror or error
        raise EdgespecError(f"{installed.name} cannot be removed: {reason}") from error
    Output().write(f"{installed.name} is removed, {size_text(freed)} are free again\n")


@models.command(context_settings=ENVIRONMENT)
@click.argument("name")
def verify(name: str) -> None:
    """Read the model NAME of the Hub in full and compare it with its checksums."""
    from edgespec.errors import ModelFileError
    from edgespec.library import is_damaged

    installed = _installed(name)
    for file in installed.files:
        with Progress() as progress:
            size, shown = max(file.size, 1), file.path.name
            wrong = is_damaged(file, lambda done: progress.show(shown, done / size))  # noqa: B023
        if wrong:
            hint = f"edgespec models rm {installed.name}, then edgespec pull {installed.name}"
            raise ModelFileError(f"{file.path} is damaged or missing", hint)
    Output().write(f"{installed.name} is as it was on the Hub\n")


def _installed(name: str) -> "Installed":
    from edgespec.errors import ModelUnavailable
    from edgespec.library import Library

    if found := Library().find(name):
        return found
    raise ModelUnavailable(f"no model {name!r} was pulled from the Hub", "see edgespec models list")


def _matches_json(own: "list[Entry]", found: "list[Found]") -> str:
    from edgespec.hub.names import PREFIX

    records = [{"name": entry.name, "description": entry.description} for entry in own]
    hub = [{**asdict(one), "name": PREFIX + one.name} for one in found]
    return json.dumps([*records, *hub], indent=2) + "\n"


def _matches(own: "list[Entry]", found: "list[Found]") -> str:
    from edgespec.cli.table import table
    from edgespec.hub.names import PREFIX

    rows = [(entry.name, "", entry.description) for entry in own]
    rows += [
        (PREFIX + one.name, f"{one.downloads}", "gated: needs a token" if one.gated else "")
        for one in found
    ]
    return table([("NAME", "DOWNLOADS", "DESCRIPTION"), *rows]) if rows else ""


def _row(item: "Item") -> tuple[str, ...]:
    from edgespec.cli.table import size_text

    size = size_text(item.size) if item.size else ""
    if not item.present:
        size = f"{size} to pull".strip()
    context = str(item.context) if item.context else "-"
    return item.name, size, context, item.licence or "-", item.description


def _facts(facts: dict[str, object]) -> str:
    from edgespec.hub.names import shown

    width = max(map(len, facts))
    return "".join(
        f"{name:{width}}  {shown(str(line))}\n"
        for name, value in facts.items()
        for line in (value if isinstance(value, list) else [value])
    )
