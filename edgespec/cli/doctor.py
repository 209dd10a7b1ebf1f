"""`edgespec doctor`: versions, processor, memory, models, paths and engines, for a bug report."""

import json
from dataclasses import asdict
from importlib import import_module

import click

from edgespec.cli.options import ENVIRONMENT
from edgespec.cli.output import Output


@click.command(context_settings=ENVIRONMENT)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Tell what a bug report should say about this machine."""
    from edgespec.doctor import collect, render

    report = collect(_engines())
    text = json.dumps(asdict(report), indent=2) if as_json else render(report)
    Output().write(text + "\n")


def _engines() -> dict[str, str]:
    """What each engine says of itself, or why it does not load, and the devices they found."""
    from edgespec.devices import offload_devices
    from edgespec.memory import gib
    from edgespec.protocols import BACKENDS

    found = {}
    for name, entry_point in BACKENDS.items():
        try:
            found[name] = import_module(entry_point.split(":")[0]).system_info()
        except Exception as error:
            found[name] = f"does not load: {error}"
    for device in offload_devices():
        free = f"{gib(device.free)} of {gib(device.total)} free"
        found[device.name] = f"{device.description}, {device.kind.value}, {free}"
    return found
