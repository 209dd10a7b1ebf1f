"""`edgespec models`: what is in the catalogue."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgespec.cli.options import ENVIRONMENT
from edgespec.cli.output import Output

if TYPE_CHECKING:
    from edgespec.catalog import Entry


@click.group()
def models() -> None:
    """List the models of the catalogue."""


@models.command("list", context_settings=ENVIRONMENT)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_models(as_json: bool) -> None:
    """List the pairs of a target and a drafter that have a name.

    A GGUF file can be given wherever a name can.
    """
    from edgespec.catalog import entries

    output = Output()
    if as_json:
        output.write(json.dumps([_record(entry) for entry in entries()], indent=2) + "\n")
    else:
        output.write(_table([_row(entry) for entry in entries()]))


def _record(entry: "Entry") -> dict[str, object]:
    files = {"target": str(entry.target), "drafter": str(entry.drafter)}
    return asdict(entry) | files | {"size": entry.size, "present": entry.present}


def _row(entry: "Entry") -> tuple[str, ...]:
    size = f"{entry.size / 1e6:.1f} MB" if entry.present else "missing"
    return entry.name, size, str(entry.context), entry.licence, entry.description


def _table(rows: list[tuple[str, ...]]) -> str:
    rows = [("NAME", "SIZE", "CONTEXT", "LICENCE", "DESCRIPTION"), *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"
