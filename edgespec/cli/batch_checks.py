"""What must be true before a batch begins."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edgespec.cli import diagnostics
from edgespec.errors import InvalidInput

if TYPE_CHECKING:
    from edgespec.batch.formats import Format
    from edgespec.batch.rows import Settings
    from edgespec.batch.source import Source

STREAM = "-"
"""stdin or stdout."""

_SHOWN_FAULTS = 20


def pattern(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A click callback: the value, if it is a regular expression."""
    try:
        re.compile(value or "")
    except re.error as error:
        raise click.BadParameter(f"{value!r}: {error}", param=parameter) from None
    return value


def require_own_devices() -> None:
    """Raise UsageError for --rpc: its workers serve one process, and there will be several."""
    source = click.get_current_context().get_parameter_source("rpc")
    if source not in (None, ParameterSource.DEFAULT):
        raise click.UsageError("--rpc is for a batch in one process: without --workers and --ray")


def regular(output: str) -> Path | None:
    """The file to write answers to, None for stdout. Raises UsageError for what cannot be one."""
    if output == STREAM:
        return None
    path = Path(output)
    if path.exists() and not path.is_file():
        raise click.UsageError(f"{output} is no file; for a pipe, leave out -o")
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"{output} cannot be written: there is no folder {path.parent}")
    return path


def require_usable(source: "Source", form: "Format", settings: "Settings") -> None:
    """Name every row that cannot be used; raise InvalidInput if there are any."""
    from edgespec.batch.strict_json import Fault

    faults = 0
    for row in range(len(source)):
        try:
            form.read(source.read(row), settings)
        except Fault as fault:
            faults += 1
            if faults <= _SHOWN_FAULTS:
                place = f"{source.name}:{source.line(row)}:{fault.column}"
                diagnostics.say(f"{place}: {fault.message}")
    if faults:
        raise InvalidInput(
            f"{faults} of {len(source)} rows of {source.name} cannot be used",
            "correct them, or leave out --strict to answer the others",
        )
