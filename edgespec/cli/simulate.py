"""`edgespec simulate`: what would another machine or another drafter bring?"""

import json
from math import inf

import click

from edgespec.cli.output import Output


@click.command(short_help="Predict the speed of an imagined machine.")
@click.option(
    "--acceptance", "-a", type=click.FloatRange(0, 1), default=0.75, show_default=True,
    help="How often the drafter's first choice is right.",
)  # fmt: skip
@click.option(
    "--draft", "-d", type=click.FloatRange(0, min_open=True), default=0.1, show_default=True,
    help="A drafter step's time, in plain steps of the target.",
)  # fmt: skip
@click.option(
    "--slope", type=click.FloatRange(0), default=0.12, show_default=True,
    help="What each further token adds to a target step, in plain steps.",
)  # fmt: skip
@click.option(
    "--verify", metavar="V1,V2,...",
    help="The times of target steps of 1, 2, ... tokens, in any unit, instead of --slope.",
)  # fmt: skip
@click.option(
    "--contention", type=click.FloatRange(1), default=1.0, show_default=True,
    help="How much either side slows down while the other runs.",
)  # fmt: skip
@click.option("--tokens", type=click.IntRange(16, 100_000), default=2000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def simulate(
    acceptance: float,
    draft: float,
    slope: float,
    verify: str | None,
    contention: float,
    tokens: int,
    seed: int,
    as_json: bool,
) -> None:
    """Run the real scheduler on an imagined machine, on a virtual clock.

    Prints tokens per second relative to plain decoding for edgespec, for drafting a fixed number
    of tokens and then verifying, for PEARL, and the bound that an oracle could reach. Nothing is
    measured: all of it follows from the numbers you give.
    """
    from edgespec.simulation import rivals
    from edgespec.simulation.machine import Machine
    from edgespec.simulation.run import ours
    from edgespec.simulation.text import Text

    steps = _steps(verify) if verify else [1 + slope * n for n in range(17)]
    machine = Machine(
        lambda n: steps[n - 1] / steps[0],
        draft,
        verify_contention=contention,
        draft_contention=contention,
        max_batch=len(steps),
    )
    text = Text(lambda position: acceptance, tokens, seed=seed)
    plain = rivals.plain(machine, text)
    lengths = range(1, machine.max_batch)
    sequential = {k: plain / rivals.sequential(machine, text, k) for k in lengths}
    pearl = {k: plain / rivals.pearl(machine, text, k) for k in lengths}
    result = {
        "edgespec": plain / ours(machine, text).seconds,
        "plain": 1.0,
        "sequential": max(sequential.values()),
        "sequential_draft_length": max(sequential, key=sequential.__getitem__),
        "pearl": max(pearl.values()),
        "pearl_draft_length": max(pearl, key=pearl.__getitem__),
        "oracle": plain / rivals.oracle(machine, text),
    }
    Output().write((json.dumps(result) if as_json else _table(result)) + "\n")


def _steps(text: str) -> list[float]:
    try:
        steps = [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a list of numbers", param_hint="--verify"
        ) from None
    if len(steps) < 2 or not all(0 < step < inf for step in steps):
        raise click.BadParameter("at least two times above 0 are needed", param_hint="--verify")
    return steps


def _table(result: dict[str, float]) -> str:
    rows = [
        ("edgespec", result["edgespec"], "adaptive, measured"),
        ("plain", 1.0, "no drafter"),
        ("sequential", result["sequential"], f"best K = {result['sequential_draft_length']:.0f}"),
        ("PEARL", result["pearl"], f"best K = {result['pearl_draft_length']:.0f}"),
        ("oracle", result["oracle"], "drafts for free, lengths from the future"),
    ]
    return "\n".join(f"{name:<11}{speed:5.2f}x  {note}" for name, speed, note in rows)
