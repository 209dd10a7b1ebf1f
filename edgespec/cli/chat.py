"""`edgespec chat`: a conversation, on the whole screen or line by line."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import (
    ENVIRONMENT,
    ModelSettings,
    SamplingSettings,
    model_options,
    sampling_options,
    stats_option,
    system_option,
)
from edgespec.cli.output import is_terminal

if TYPE_CHECKING:
    from edgespec.config import Settings
    from edgespec.engine import Engine

SCREEN = "edgespec_tui.launch"
"""The module that has the chat on the whole screen; nothing else is known of it here."""
_ABSENT = (
    "context",
    "threads",
    "draft_length",
    "max_tokens",
    "device",
    "drafter_device",
    "cpus",
    "drafter_cpus",
)
"""Settings that are 0 or empty where the option would be left out."""


class _Configured(click.Command):
    """A command whose options' defaults are the user's settings."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        from edgespec import config

        file = config.file()
        helping = extra.get("resilient_parsing") or {"--help", "-h"} & set(args)
        if file.exists() and not helping:
            extra["default_map"] = _defaults(config.load(file))
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_Configured, context_settings=ENVIRONMENT)
@model_options
@system_option
@sampling_options
@click.option("--plain", is_flag=True, help="Line by line, on any terminal.")
@stats_option
def chat(
    model: ModelSettings, system: str | None, sampling: SamplingSettings, plain: bool, stats: bool
) -> None:
    """Talk with a model: on the whole screen, or line by line with --plain and without a terminal.

    F1 and /help list what can be done.
    """
    sampling.request(speculate=True)  # A value out of its range is told before all else.
    settings = _settings(model, sampling, system)
    if plain or not _capable():
        _line_by_line(settings, sampling.stop, stats=stats)
    else:
        import_module(SCREEN).run(settings, sampling.stop)


def _capable() -> bool:
    """Whether the terminal can show a screen."""
    return is_terminal(sys.stdin, sys.stdout) and os.environ.get("TERM") not in ("dumb", None)


def _line_by_line(settings: "Settings", stop: tuple[str, ...], *, stats: bool) -> None:
    from contextlib import closing

    from edgespec import config, paths
    from edgespec.cli.plain.repl import Repl
    from edgespec.preferences import Preferences
    from edgespec.store.store import Store

    # What a program pipes in leaves nothing behind.
    personal = is_terminal(sys.stdin)
    preferences = Preferences(settings, config.file() if personal else None, stop)
    with (
        Store(paths.data_dir() / "conversations.db" if personal else Path(":memory:")) as store,
        closing(Repl(_load, preferences, store, personal=personal, stats=stats)) as repl,
    ):
        repl.run()


def _load(settings: "Settings") -> "Engine":
    """Load the pair that the settings name. Ctrl+C raises KeyboardInterrupt."""
    from edgespec.cli.session import open_engine

    with Interrupts() as interrupts:
        engine = open_engine(_model_settings(settings), interrupts)
    try:
        interrupts.check()
    except KeyboardInterrupt:
        engine.close()
        raise
    return engine


def _model_settings(settings: "Settings") -> ModelSettings:
    """What the settings say about models; what means "none" there is None."""
    return ModelSettings(
        model=settings.model or None,
        drafter=settings.drafter or None,
        context=settings.context or None,
        threads=settings.threads or None,
        draft_length=settings.draft_length or None,
        no_speculate=not settings.speculate,
        device=settings.device or None,
        gpu_layers=settings.gpu_layers if settings.gpu_layers >= -1 else None,
        drafter_device=settings.drafter_device or None,
        cpu_experts=settings.cpu_experts if settings.cpu_experts >= -1 else None,
        cpus=settings.cpus or None,
        drafter_cpus=settings.drafter_cpus or None,
        kv_type=settings.kv_type,
        attention=settings.attention,
    )


def _settings(model: ModelSettings, sampling: SamplingSettings, system: str | None) -> "Settings":
    """The user's settings with what the command line and the environment say."""
    from dataclasses import replace

    from edgespec import config

    return replace(
        config.load(config.file()),
        model=model.model or "",
        drafter=model.drafter or "",
        context=model.context or 0,
        threads=model.threads or 0,
        speculate=not model.no_speculate,
        draft_length=model.draft_length or 0,
        device=model.device or "",
        gpu_layers=-2 if model.gpu_layers is None else model.gpu_layers,
        drafter_device=model.drafter_device or "",
        cpu_experts=-2 if model.cpu_experts is None else model.cpu_experts,
        cpus=model.cpus or "",
        drafter_cpus=model.drafter_cpus or "",
        kv_type=model.kv_type,
        attention=model.attention,
        system=system or "",
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        repeat_penalty=sampling.repeat_penalty,
        max_tokens=sampling.max_tokens or 0,
        seed=-1 if sampling.seed is None else sampling.seed,
    )


def _defaults(settings: "Settings") -> dict[str, Any]:
    """The settings as defaults of options; what means "none" is left out."""
    from dataclasses import asdict

    known = asdict(settings)
    known["no_speculate"] = not known["speculate"]
    if settings.seed < 0:
        del known["seed"]
    for name in ("gpu_layers", "cpu_experts"):
        if known[name] < -1:
            del known[name]
    return {name: value for name, value in known.items() if value or name not in _ABSENT}
