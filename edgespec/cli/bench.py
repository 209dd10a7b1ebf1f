"""`edgespec bench`: what steps cost on this machine, and what speculation gains there."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import ENVIRONMENT, names_and_files
from edgespec.cli.output import Output, printable
from edgespec.errors import EdgespecError

if TYPE_CHECKING:
    from edgespec.benchmark import Comparison
    from edgespec.catalog import Pair
    from edgespec.costs import CostTable
    from edgespec.engine import Engine

_WIDTH = 40


def _page(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """A page that can be written, known before minutes of measuring."""
    if path and path.suffix not in (".html", ".md"):
        raise click.BadParameter(f"{path} is neither .html nor .md")
    if path and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"{path.absolute().parent} is not a folder")
    return path


@click.command(context_settings=ENVIRONMENT, short_help="Measure this machine with a model.")
@click.argument("model", required=False, metavar="[NAME|FILE]", shell_complete=names_and_files)
@click.option(
    "--drafter", metavar="NAME|FILE", shell_complete=names_and_files,
    help="Drafter in place of the model's own.",
)  # fmt: skip
@click.option(
    "--context", type=click.IntRange(min=1), metavar="TOKENS",
    show_default="the model's own, at most 8192", help="Size of the context.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N",
    show_default="as many as are fastest, by measurement", help="Threads of the target.",
)  # fmt: skip
@click.option(
    "--tokens", type=click.IntRange(8, 4096), default=96, show_default=True,
    help="Longest answer.",
)  # fmt: skip
@click.option(
    "--calibrate", is_flag=True,
    help="Only measure what steps cost, anew even if that is known.",
)  # fmt: skip
@click.option(
    "--report", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), callback=_page,
    help="Also write a page to show to others: FILE.html or FILE.md.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(
    model: str | None,
    drafter: str | None,
    context: int | None,
    threads: int | None,
    tokens: int,
    calibrate: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Show what steps of a model cost here, then answer prompts with and without speculation.

    The sides take turns; close other programs first.
    """
    from edgespec.loading import LoadOptions, load
    from edgespec.matchmaking import best_pair

    pair = best_pair(model, drafter)
    options = LoadOptions(n_ctx=context or 0, threads=threads or 0, calibrate=calibrate)
    with Interrupts() as interrupts:
        with diagnostics.Progress() as progress:

            def show(what: str, fraction: float) -> bool:
                interrupts.check()
                progress.show(what, fraction)
                return True

            engine = load(pair, options, show)
        with engine:
            table = engine.costs.table
            found = [] if calibrate else _compare(engine, tokens, interrupts)
    if report:
        _write_page(report, pair, table, found)
    if as_json:
        text = json.dumps({"model": pair.name, **_numbers(table, found)})
    else:
        text = "\n".join([*_plot(table), *(["", *_comparisons(found)] if found else [])])
    Output().write(printable(text) + "\n")


def _compare(engine: "Engine", tokens: int, interrupts: Interrupts) -> "list[Comparison]":
    from edgespec.benchmark import PROMPTS, TEMPERATURES, compare

    found: list[Comparison] = []
    interrupts.stop = engine.abort
    with diagnostics.Progress() as progress:
        for comparison in compare(engine, tokens):
            interrupts.check()
            found.append(comparison)
            progress.show("answering", len(found) / (len(PROMPTS) * len(TEMPERATURES)))
    return found


def _write_page(
    path: Path, pair: "Pair", table: "CostTable", answers: "Sequence[Comparison]"
) -> None:
    from edgespec.benchmark_page import Findings, write
    from edgespec.doctor import collect

    drafter = pair.drafter.stem if pair.drafter else None
    findings = Findings(collect({}), pair.target.stem, drafter, table, answers)
    try:
        write(findings, path)
    except OSError as error:
        raise EdgespecError(f"{path} cannot be written: {error.strerror}") from error


def _plot(table: "CostTable") -> list[str]:
    """V(n) as bars, the sizes that cost least per token marked, and what the drafter costs."""
    steps = dict(sorted(table.verify[min(table.verify)].items()))
    longest, least = max(steps.values()), float("inf")
    lines = [f"{'n':>3} {'ms':>8} {'ms/token':>9}"]
    for n, seconds in steps.items():
        mark = "*" if seconds / n < least else " "
        least = min(least, seconds / n)
        bar = "█" * max(round(_WIDTH * seconds / longest), 1)
        lines.append(f"{n:>3} {1e3 * seconds:>8.2f} {1e3 * seconds / n:>9.2f}{mark} {bar}")
    lines.append("one decode of n tokens by the target; * = the least per token so far")
    return [*lines, *_drafter(table, steps[1])]


def _drafter(table: "CostTable", plain: float) -> list[str]:
    draft = table.draft[min(table.draft)]
    if not draft:
        return ["there is no drafter"]
    return [
        f"a step of the drafter: {1e3 * draft:.2f} ms, {100 * draft / plain:.1f} % of a plain "
        f"step; each further branch adds {100 * table.draft_row:.0f} %",
        f"both at once: the target takes {table.verify_contention:.2f}x as long, "
        f"the drafter {table.draft_contention:.2f}x",
    ]


def _comparisons(found: "Sequence[Comparison]") -> list[str]:
    headers = ("prompt", "temp.", "plain", "edgespec", "gain", "accepted", "per round")
    lines = ["{:<8}{:>6}{:>10}{:>10}{:>8}{:>10}{:>11}".format(*headers)]
    for row in found:
        cells = (
            f"{row.temperature:g}",
            _cell(row.plain, "{:.1f}"),
            _cell(row.speculating, "{:.1f}"),
            _cell(row.gain, "{:.2f}x"),
            _cell(row.acceptance, "{:.2f}"),
            _cell(row.mean_accepted_length, "{:.2f}"),
        )
        lines.append("{:<8}{:>6}{:>10}{:>10}{:>8}{:>10}{:>11}".format(row.prompt, *cells))
    return [*lines, "tokens per second of decoding; accepted = share of the drafts"]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _numbers(table: "CostTable", found: "Sequence[Comparison]") -> dict[str, object]:
    return {
        "costs": asdict(table),
        "answers": [asdict(comparison) | {"gain": comparison.gain} for comparison in found],
    }
