"""What `edgespec bench` found, as a page to show to others: HTML or Markdown.

The page stands alone and names the machine, never its user, paths or files' places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from edgespec.benchmark import Comparison
from edgespec.costs import CostTable
from edgespec.doctor import Report
from edgespec.memory import gib

SUFFIXES = (".html", ".md")
_PAGES = Path(__file__).with_name("pages")


@dataclass(frozen=True, slots=True)
class Findings:
    """One run: on what machine, with which models, what steps cost and what answers gained."""

    machine: Report
    target: str
    drafter: str | None
    costs: CostTable
    answers: Sequence[Comparison]


def render(findings: Findings, suffix: str) -> str:
    """The page in the language of `suffix`."""
    steps = dict(sorted(findings.costs.verify[min(findings.costs.verify)].items()))
    longest = max(steps.values())
    draft = findings.costs.draft[min(findings.costs.draft)] if findings.drafter else None
    environment = Environment(
        loader=FileSystemLoader(_PAGES),
        autoescape=suffix == ".html",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template(f"bench{suffix}.jinja")
    return template.render(
        facts=_facts(findings),
        slow=findings.machine.slow,
        steps=[(n, 1e3 * s, 1e3 * s / n, s / longest) for n, s in steps.items()],
        draft=draft and {"ms": 1e3 * draft, "share": draft / steps[1]},
        costs=findings.costs,
        answers=findings.answers,
    )


def write(findings: Findings, path: Path) -> None:
    """Write the page to `path`, whose suffix is one of SUFFIXES. Raises OSError."""
    path.write_text(render(findings, path.suffix), encoding="utf-8")


def _facts(findings: Findings) -> Mapping[str, object]:
    machine = findings.machine
    return {
        "target": findings.target,
        "drafter": findings.drafter or "none",
        "processor": f"{machine.processor.model}, {machine.processor.usable}",
        "memory": gib(machine.memory.total),
        "system": machine.platform,
        "edgespec": f"{machine.edgespec}, llama-cpp-python {machine.packages['llama-cpp-python']}",
    }
