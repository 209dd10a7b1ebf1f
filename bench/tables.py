"""Fills docs/benchmarks.md from recorded runs: `python bench/tables.py [RESULTS]`.

RESULTS is the folder that `bench/all.py` left. What stands between `<!-- PART MODEL -->` and
`<!-- end -->` is replaced by the tables of RESULTS/MODEL/PART.json; what was not recorded says
so. The plot of all speeds is drawn into docs/images.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import batch
import latency
import matplotlib as mpl
import peer
import plain
import report
import serve
import speculation
from matplotlib.figure import Figure
from measured import Measured

DOCS = Path(__file__).resolve().parent.parent / "docs"
PLACE = re.compile(r"(<!-- (\w+) ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
Record = dict[str, Any]
MISSING = "*Not recorded yet.*\n"
PLOT = "![Speeds](images/speeds.svg)\n"


def machine_line(record: Record) -> str:
    """What the numbers were measured on."""
    facts = record["machine"]
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, llama-cpp-python "
        f"{facts['llama_cpp_python']}, load average {facts['load_average']} at the start.\n"
    )


def plain_table(record: Record) -> str:
    headers = ("side", "tok/s", "min", "max", "ratio")
    return report.table(headers, plain.rows(record["rates"])) + "\n"


def speculation_table(record: Record) -> str:
    """One table per prompt set and temperature, and one of the gains."""
    parts = []
    for cell in record["cells"]:
        name, temperature = cell["cell"]
        headers = ("side", "tok/s", "median", "edgespec is", "acceptance", "tokens")
        table = report.table(headers, speculation.rows(answers(cell)))
        parts.append(f"**{name}, temperature {temperature:g}**\n\n{table}\n")
    return "\n".join(parts)


def answers(cell: Record) -> dict[str, list[Measured]]:
    """The answers of every side in one cell."""
    return {side: [Measured(**one) for one in all_] for side, all_ in cell["answers"].items()}


def latency_table(record: Record) -> str:
    turns = [latency.Turn(**turn) for turn in record["turns"]]
    headers = ("side, tokens of prompt", "cold, s", "resumed, s", "tok/s")
    return report.table(headers, latency.rows(turns)) + "\n"


def batch_table(record: Record) -> str:
    """All rounds of each side, and how edgespec compares in each cell."""
    results = batch.merged([batch.Result(**result) for result in record["results"]])
    rows = [result.row() for result in results]
    lines = "".join(f"- {line}\n" for line in batch.verdicts(results))
    return f"{report.table(batch.HEADERS, rows)}\n\n{lines}"


def serve_table(record: Record) -> str:
    """All turns of each side, by the number of streams."""
    turns = [serve.Turn(**turn) for turn in record["turns"]]
    return report.table(serve.HEADERS, serve.rows(turns)) + "\n"


def startup_table(record: Record) -> str:
    """Medians of each side."""
    starts = record["starts"]
    rows = []
    for side in dict.fromkeys(start["side"] for start in starts):
        mine = [start for start in starts if start["side"] == side]
        rows.append((side, *(median(one[key] for one in mine) for key in ("seconds", "memory"))))
    return report.table(("side", "s to an answer", "MiB"), rows) + "\n"


TABLES: dict[str, Callable[[Record], str]] = {
    "plain": plain_table,
    "speculation": speculation_table,
    "latency": latency_table,
    "batch": batch_table,
    "serve": serve_table,
    "startup": startup_table,
}


def fill(text: str, results: Path) -> str:
    """`text` with every table that was recorded."""

    def replace(place: re.Match[str]) -> str:
        head, part, model, tail = place.groups()
        if part == "speeds":
            drawn = bool(list(results.glob("*/speculation.json")))
            return f"{head}{PLOT if drawn else MISSING}{tail}"
        file = results / model / f"{part}.json"
        if not file.exists():
            return f"{head}{MISSING}{tail}"
        record = json.loads(file.read_text(encoding="utf-8"))
        return f"{head}{machine_line(record)}\n{TABLES[part](record)}{tail}"

    return PLACE.sub(replace, text)


def plot(records: Iterable[Record], path: Path) -> None:
    """Speed over edgespec's own plain decoding: edgespec, and llama-server at its best."""
    bars = [bar for record in records for bar in speeds(record)]
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(bars)), layout="constrained")
    axes = figure.subplots()
    for row, (_, ours, theirs) in enumerate(reversed(bars)):
        axes.barh(row + 0.18, ours, 0.34, color="#2a8a5b", label="" if row else "edgespec")
        axes.barh(
            row - 0.18, theirs, 0.34, color="#8a8a8a", label="" if row else "llama-server's best"
        )
    axes.axvline(1, color="black", linewidth=0.7)
    axes.set(yticks=range(len(bars)), xlabel="speed over edgespec's plain decoding")
    axes.set_yticklabels([label for label, _, _ in reversed(bars)])
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    mpl.rcParams |= {"svg.hashsalt": "edgespec", "svg.fonttype": "none"}
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def speeds(record: Record) -> list[tuple[str, float, float]]:
    """Of each cell: its name, edgespec's speed and the best of llama-server's."""
    found = []
    for cell in record["cells"]:
        name, temperature = cell["cell"]
        rates = {side: speculation.total_rate(all_) for side, all_ in answers(cell).items()}
        base = rates["edgespec plain"]
        theirs = max((r for side, r in rates.items() if side.startswith("llama")), default=0.0)
        label = f"{record['model']}, {name}, T = {temperature:g}"
        found.append((label, rates["edgespec"] / base, theirs / base))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=peer.CACHE / "results")
    options = parser.parse_args()
    page = DOCS / "benchmarks.md"
    page.write_text(fill(page.read_text(encoding="utf-8"), options.results), encoding="utf-8")
    files = sorted(options.results.glob("*/speculation.json"))
    if files:
        records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        plot(records, DOCS / "images" / "speeds.svg")
    print(page)


if __name__ == "__main__":
    main()
