"""The page of a benchmark: every number, what is missing as a dash, and names made harmless."""

import pytest

from edgespec import doctor
from edgespec.benchmark import Comparison
from edgespec.benchmark_page import SUFFIXES, Findings, render
from edgespec.costs import CostTable

TABLE = CostTable({0: {1: 0.010, 4: 0.020}}, {0: 0.001}, 1.5, 1.25)
ANSWERS = (
    Comparison("code", 0.0, 100.0, 150.0, 0.75, 2.5),
    Comparison("prose", 0.8, None, None, None, None),
)


def page(suffix: str, target: str = "big", drafter: str | None = "small") -> str:
    findings = Findings(doctor.collect({}), target, drafter, TABLE, ANSWERS)
    return render(findings, suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_are_those_of_the_table_and_the_answers(suffix: str) -> None:
    text = page(suffix)
    for number in ("10.00", "20.00", "5.00", "150.00", "1.50", "0.75", "2.50", "10.0 %"):
        assert number in text
    assert "1.25 times" in text


def test_what_is_not_known_is_a_dash() -> None:
    [row] = [line for line in page(".md").splitlines() if line.startswith("| prose")]
    assert row == "| prose | 0.8 | - | - | - | - | - |"


def test_without_a_drafter_nothing_is_said_of_its_steps() -> None:
    assert "step of the drafter" in page(".md")
    assert "step of the drafter" not in page(".md", drafter=None)


def test_a_name_is_no_markup() -> None:
    assert "<script>" not in page(".html", target="<script>alert(1)</script>")
