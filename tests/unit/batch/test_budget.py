"""One budget for the drafts of all: the best there is, by trying everything."""

from itertools import accumulate, product
from operator import mul
from random import Random

import pytest

from edgespec.batch.budget import spend
from edgespec.batch.pace import Pace
from edgespec.costs import CostModel, CostTable

STAIRS = {
    1: 15.0,
    2: 25.0,
    3: 35.0,
    4: 29.0,
    5: 37.0,
    6: 53.0,
    7: 68.0,
    8: 50.0,
    12: 63.0,
    16: 65.0,
}


def value(counts: list[int], chains: list[list[float]], base: int, rate: float) -> float:
    gain = sum(sum(chain[:count]) for chain, count in zip(chains, counts, strict=True))
    return gain - rate * seconds(base + sum(counts))


def seconds(size: int) -> float:
    return COSTS.verify(size, 0)


COSTS = CostModel(CostTable({0: STAIRS}, {0: 1.0}))


def test_nothing_else_would_be_better() -> None:
    random = Random(1)
    spent = 0
    for _ in range(300):
        answers = random.randint(1, 3)
        chains = [
            list(accumulate((random.random() for _ in range(random.randint(0, 4))), mul))
            for _ in range(answers)
        ]
        rate, limit = random.uniform(0.01, 0.1), random.randint(0, 8)
        found = spend(chains, answers, limit, rate, seconds)
        spent += sum(found)
        assert sum(found) <= limit
        every = product(*(range(len(chain) + 1) for chain in chains))
        best = max(value(list(c), chains, answers, rate) for c in every if sum(c) <= limit)
        assert value(found, chains, answers, rate) == pytest.approx(best)
    assert spent > 100


def test_speculation_fades_as_answers_fill_the_machine() -> None:
    """With V flat up to 16 tokens and dear beyond, drafts fill up to 16 and no further."""
    flat = CostModel(CostTable({0: {1: 1.0, 16: 1.1, 17: 2.0, 64: 8.0}}, {0: 0.0}))
    pace = Pace(flat)
    for answers, drafts in [(1, 8), (2, 14), (8, 8), (15, 1), (16, 0), (32, 0)]:
        counts = pace.affordable([[0.9**r for r in range(1, 9)]] * answers, 0, 64)
        assert sum(counts) == drafts


def test_the_guard_stops_what_does_not_pay() -> None:
    pace = Pace(CostModel(CostTable({0: {1: 1.0, 8: 1.2}}, {0: 0.0})))
    spent = plain = 0.0
    for _ in range(300):
        counts = pace.affordable([[0.9, 0.8, 0.7]], 0, 8)
        took = 1.0 + 0.5 * sum(counts)
        pace.finished(1, sum(counts), 1, 0, took)
        spent, plain = spent + took, plain + 1.0
    assert spent <= 1.05 * plain + 2.0 + 0.5
