"""The options that several commands share, each declared once, and the settings they become."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from edgespec.events import Request
from edgespec.sampling.params import SamplingParams

ENVIRONMENT = {"auto_envvar_prefix": "EDGESPEC"}
"""Context settings of a command whose options can be set as EDGESPEC_<OPTION>, too."""

_Command = Callable[..., Any]
_DEFAULT = SamplingParams()


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which models to load, and how."""

    model: str | None
    drafter: str | None
    context: int | None
    threads: int | None
    draft_length: int | None
    no_speculate: bool
    device: str | None = None
    gpu_layers: int | None = None
    drafter_device: str | None = None
    cpu_experts: int | None = None
    cpus: str | None = None
    drafter_cpus: str | None = None
    kv_type: str = "f16"
    attention: str = "auto"


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How to choose the tokens of an answer, and when to end it."""

    max_tokens: int | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    seed: int | None
    stop: tuple[str, ...]

    def request(self, *, speculate: bool) -> Request:
        """What to ask of an engine, but for the prompt. Without a seed, one is drawn.

        Raises InvalidInput for a value out of its range.
        """
        params = SamplingParams(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repeat_penalty=self.repeat_penalty,
            seed=secrets.randbits(32) if self.seed is None else self.seed,
        )
        return Request(
            prompt=(),
            sampling=params,
            max_tokens=self.max_tokens,
            stop=self.stop,
            speculate=speculate,
        )


@dataclass(frozen=True, slots=True)
class CrewSettings:
    """Who works on a batch, and how considerately."""

    parallel: int | None
    workers: int | None
    ray: str | None
    nice: int
    pause_on_battery: bool


def model_options(command: _Command) -> _Command:
    """Give `command` the options about models, as a ModelSettings called `model`."""
    return _grouped(command, "model", ModelSettings, _MODEL)


def sampling_options(command: _Command) -> _Command:
    """Give `command` the options about sampling, as a SamplingSettings called `sampling`."""
    return _grouped(command, "sampling", SamplingSettings, _SAMPLING)


def crew_options(command: _Command) -> _Command:
    """Give `command` the options about who works, as a CrewSettings called `crew`."""
    return _grouped(command, "crew", CrewSettings, _CREW)


system_option = click.option("-s", "--system", metavar="TEXT", help="System message.")
stats_option = click.option("--stats", is_flag=True, help="Tell on stderr what the answer cost.")


def read_file(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Callback of an option that names a file: the text in it."""
    if value is None:
        return None
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise click.BadParameter(f"{value!r} cannot be read: {reason}") from error


def read_json(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Callback of an option that names a file or holds a JSON object itself: the text."""
    inline = value is not None and value.lstrip().startswith("{")
    return value if inline else read_file(context, parameter, value)


def _connect(_: click.Context, __: click.Parameter, value: str | None) -> None:
    """Callback of --rpc, which only adds to the devices that all else chooses from."""
    if value is not None:
        from edgespec.devices import connect

        connect([endpoint.strip() for endpoint in value.split(",")])


def names_and_files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the catalogue's names, and files."""
    from edgespec.catalog import entries

    names = [entry.name for entry in entries() if entry.name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def _grouped(
    command: _Command, name: str, kind: type, options: tuple[Callable[[_Command], _Command], ...]
) -> _Command:
    def packed(**values: Any) -> Any:
        own = {field.name: values.pop(field.name) for field in fields(kind)}
        return command(**values, **{name: kind(**own)})

    decorated: _Command = update_wrapper(packed, command)
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _sampling(*names: str, kind: type, text: str) -> Callable[[_Command], _Command]:
    """An option named after a field of SamplingParams, with that field's default."""
    default = getattr(_DEFAULT, names[-1].removeprefix("--").replace("-", "_"))
    return click.option(
        *names, type=kind, metavar="N", default=default, show_default=True, help=text
    )


placement_options = (
    click.option("--device", metavar="NAME", help="The target's device, CPU for none."),
    click.option(
        "--gpu-layers",
        type=click.IntRange(-1),
        metavar="N",
        show_default="by plan",
        help="Layers of the target on its device; -1 = all.",
    ),
    click.option(
        "--rpc",
        metavar="HOST:PORT,...",
        callback=_connect,
        expose_value=False,
        help="Machines that run edgespec worker, whose memory layers may go to, too.",
    ),
    click.option("--drafter-device", metavar="NAME", help="The drafter's device, CPU for none."),
    click.option(
        "--cpu-experts",
        type=click.IntRange(-1),
        metavar="N",
        show_default="by plan",
        help="Layers, from the first, whose experts stay with the CPU; -1 = all.",
    ),
    click.option(
        "--cpus",
        metavar="LIST",
        show_default="the fastest, by measurement",
        help="Processors of the target, as in 0-3,8: a thread on each.",
    ),
    click.option(
        "--drafter-cpus",
        metavar="LIST",
        show_default="by measurement",
        help="Processors of a drafter on the CPU: a thread on each.",
    ),
    click.option(
        "--kv-type",
        type=click.Choice(("f16", "q8_0", "q4_0")),
        default="f16",
        show_default=True,
        help="Type of the target's cache; a coarser one can change the text.",
    ),
    click.option(
        "--attention",
        type=click.Choice(("auto", "flash", "plain")),
        default="auto",
        show_default="by measurement",
        help="How the target attends; the kinds round in other ways, which can decide a tie.",
    ),
)
_MODEL = (
    click.option(
        "-m",
        "--model",
        metavar="NAME|FILE",
        shell_complete=names_and_files,
        show_default="the largest pulled one that fits, else nano, a toy",
        help="Model of the catalogue, or a GGUF file.",
    ),
    click.option(
        "--drafter",
        metavar="NAME|FILE",
        shell_complete=names_and_files,
        help="Drafter in place of the model's own.",
    ),
    click.option(
        "--context",
        type=click.IntRange(min=1),
        metavar="TOKENS",
        show_default="the model's own, at most 8192",
        help="Size of the context.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        metavar="N",
        show_default="as many as are fastest, by measurement",
        help="Threads of the target.",
    ),
    click.option(
        "-k",
        "--draft-length",
        type=click.IntRange(1, 64),
        metavar="N",
        show_default="as many as pay, by measurement",
        help="Tokens to draft in every round.",
    ),
    click.option("--no-speculate", is_flag=True, help="Decode plainly, without any drafts."),
    *placement_options,
)
_CREW = (
    click.option(
        "--parallel",
        type=click.IntRange(1, 128),
        metavar="N",
        show_default="as many as pay, by measurement",
        help="Rows to answer at a time.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 64),
        metavar="N",
        show_default="by plan",
        help="Processes here that share the rows and the processors, each with its own model.",
    ),
    click.option(
        "--ray", metavar="ADDRESS", help="Share the rows out over the nodes of a Ray cluster."
    ),
    click.option(
        "--nice",
        type=click.IntRange(0, 19),
        metavar="N",
        default=10,
        show_default=True,
        help="How far to stand back behind other processes; 0 = as important as they are.",
    ),
    click.option("--pause-on-battery", is_flag=True, help="Rest while this machine is on battery."),
)
_SAMPLING = (
    click.option(
        "-n",
        "--max-tokens",
        type=click.IntRange(min=1),
        metavar="TOKENS",
        show_default="up to the end of the context",
        help="Longest answer.",
    ),
    _sampling("-t", "--temperature", kind=float, text="0 always takes the likeliest token."),
    _sampling("--top-k", kind=int, text="Sample from the N likeliest tokens; 0 = all."),
    _sampling("--top-p", kind=float, text="Sample from the likeliest that add up to N."),
    _sampling("--min-p", kind=float, text="Least probability, relative to the likeliest."),
    _sampling("--repeat-penalty", kind=float, text="Penalty on recent tokens; 1 = none."),
    click.option(
        "--seed", type=int, metavar="N", show_default="random", help="Same seed, same answer."
    ),
    click.option("--stop", multiple=True, metavar="TEXT", help="End the answer here; repeatable."),
)
