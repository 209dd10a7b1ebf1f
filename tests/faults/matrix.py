"""The matrix of faults: what was done at which stage, and what edgespec was seen to do.

`python -m pytest tests/faults --matrix docs/robustness.md` writes it between that file's marks.
"""

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from subprocess import CompletedProcess

from tests.cli.process import ROOT

BEGIN, END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
_LONGEST = 200


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One fault at one stage: how the process ended, what it said, and what was checked then."""

    fault: str
    stage: str
    code: int
    said: str
    then: str


def cell(fault: str, stage: str, done: "CompletedProcess[str]", then: str, *places: Path) -> Cell:
    """The cell of a process that ended; `places` are written as an ellipsis."""
    said = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    for place in (*places, ROOT):
        said = said.replace(str(place), "…")
    said = re.sub(r"\d+ of \d+ rows", "N of M rows", said)
    said = re.sub(r"\d+ %$", "N %", said)
    said = re.sub(r"[\d.]+ tok/s", "N tok/s", said)
    return Cell(fault, stage, done.returncode, said[:_LONGEST], then)


def render(cells: list[Cell]) -> str:
    """The cells as Markdown, one table for each fault."""
    parts = []
    for fault, group in groupby(sorted(cells), lambda one: one.fault):
        lines = [f"### {fault}", "", "| stage | exit | last line on stderr | and then |"]
        lines.append("|---|---:|---|---|")
        lines += [
            f"| {one.stage} | {one.code} | {f'`{one.said}`' if one.said else '–'} | {one.then} |"
            for one in group
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def write(file: Path, cells: list[Cell]) -> None:
    """Put the matrix into `file`, between its marks."""
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}\n{render(cells)}\n\n{END}{after}", encoding="utf-8")
