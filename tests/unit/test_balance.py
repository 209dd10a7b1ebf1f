"""Which processors decode fastest, on fakes whose decodes take scripted times."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edgespec import balance
from edgespec.balance import Balance, Balancer
from edgespec.cpu_sets import CpuSet, candidates
from edgespec.protocols import ContextOptions
from edgespec.topology import detect
from tests.fakes import FakeContext, ToyLanguage

BOTH, FIRST, SECOND = (0, 1), (0,), (1,)
SETS = candidates(detect.plain(2))


class TwoCores(FakeContext):
    """Decodes on two cores, each of which gets the part `free` of its time."""

    def __init__(self, free: Sequence[float] = (1.0, 1.0), max_outputs: int = 17) -> None:
        super().__init__(ToyLanguage(), ContextOptions(max_outputs=max_outputs))
        self.free = list(free)
        self.now = 0.0
        self.steps = 0

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        super().decode(tokens, position, outputs=outputs, sequence=sequence)
        assert self.bound is not None
        cpus = self.bound[min(len(tokens) - 1, 1)]
        # Work is split evenly, and the slowest thread holds up the others.
        self.now += len(tokens) / len(cpus) / min(self.free[cpu] for cpu in cpus)
        self.steps += 1


def balancer(context: TwoCores, budget: float = 1000.0, sets: Sequence[CpuSet] = SETS) -> Balancer:
    return Balancer(context, sets, budget, lambda: context.now)


def test_two_free_cores_are_both_used() -> None:
    context = TwoCores()
    found = balancer(context).measure()
    assert (found.single, found.batch, found.prompt) == (BOTH, BOTH, BOTH)
    assert context.bound == (BOTH, BOTH, BOTH)
    assert context.length() == 0
    assert not found.old


@pytest.mark.parametrize(("free", "best"), [((0.3, 1.0), SECOND), ((1.0, 0.3), FIRST)])
def test_a_slowed_core_is_left_alone(free: tuple[float, float], best: tuple[int, ...]) -> None:
    context = TwoCores(free)
    found = balancer(context).measure()
    assert found.single == found.batch == best
    assert context.bound == (best, best, best)


def test_what_is_no_faster_does_not_replace_the_usual() -> None:
    context = TwoCores((0.51, 1.0))
    assert balancer(context).measure().single == BOTH


def test_it_falls_back_when_the_competitor_leaves(tmp_path: Path) -> None:
    context, file = TwoCores((0.3, 1.0)), tmp_path / "balance" / "key.json"
    assert balance.settle(balancer(context), file).single == SECOND
    steps = context.steps
    assert balance.settle(balancer(context), file).single == SECOND
    assert context.steps - steps == 6
    context.free = [1.0, 1.0]
    assert balance.settle(balancer(context), file).single == BOTH
    kept = balance.load(file)
    assert kept
    assert kept.single == BOTH
    assert context.bound == (BOTH, BOTH, BOTH)


def test_a_change_is_measured_in_any_case(tmp_path: Path) -> None:
    context, file = TwoCores(), tmp_path / "key.json"
    balance.settle(balancer(context), file)
    context.free = [0.3, 1.0]
    assert balance.settle(balancer(context), file).single == BOTH
    assert balance.settle(balancer(context), file, again=True).single == SECOND


def test_what_is_kept_is_not_looked_for_again(tmp_path: Path) -> None:
    context, file = TwoCores((0.3, 1.0)), tmp_path / "key.json"
    asked: list[int] = []

    def sets() -> list[CpuSet]:
        asked.append(1)
        return candidates(detect.plain(2), {0: 0.3, 1: 1.0})

    for _ in range(3):
        assert balance.settle(balancer(context), file, sets).single == SECOND
    assert len(asked) == 1


def test_other_processors_for_batches() -> None:
    class Hybrid(TwoCores):
        """A slow core that helps with batches only."""

        def decode(
            self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
        ) -> None:
            FakeContext.decode(self, tokens, position, outputs=outputs, sequence=sequence)
            assert self.bound is not None
            both = BOTH in (self.bound[0],) if len(tokens) == 1 else self.bound[1] == BOTH
            self.now += (1.5 if both else 1.0) if len(tokens) == 1 else (2.0 if both else 4.0)

    context = Hybrid()
    usual = [CpuSet("P", FIRST, ""), CpuSet("P and E", BOTH, "")]
    found = Balancer(context, usual, 1000.0, lambda: context.now).measure()
    assert (found.single, found.batch) == (FIRST, BOTH)
    assert context.bound == (FIRST, BOTH, BOTH)


class Laptop(TwoCores):
    """A second core that is too slow to share a step with the first, but helps with prompts."""

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        FakeContext.decode(self, tokens, position, outputs=outputs, sequence=sequence)
        assert self.bound is not None
        prompt = len(tokens) > 8
        self.now += (60.0 if prompt else 1.1) if BOTH in self.bound else (100.0 if prompt else 1.0)


def test_other_processors_for_prompts() -> None:
    sets = [CpuSet("P", FIRST, ""), CpuSet("P and E", BOTH, "")]
    for budget, best in ((1000.0, BOTH), (1.0, FIRST)):
        context = Laptop()
        found = balancer(context, budget, sets).measure()
        assert (found.single, found.batch, found.prompt) == (FIRST, FIRST, best)
        assert context.bound == (FIRST, FIRST, best)
        assert context.length() == 0


def test_a_slow_model_is_visited_once() -> None:
    context = TwoCores()
    balancer(context, budget=0.0).measure()
    assert context.steps == 3 * 5


def test_a_context_without_batches() -> None:
    assert balancer(TwoCores(max_outputs=1)).measure().batch == BOTH


def test_the_only_set_needs_no_second_look() -> None:
    context = TwoCores()
    only = Balancer(context, [CpuSet("one", FIRST, "")], clock=lambda: context.now)
    assert only.holds(Balance(FIRST, FIRST, FIRST, time.time()))
    assert context.steps == 0
    assert context.bound == (FIRST, FIRST, FIRST)


def test_what_was_kept_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    now = Balance(FIRST, BOTH, BOTH, time.time())
    balance.save(file, now)
    assert balance.load(file) == now
    assert replace(now, measured=0.0).old
    assert balance.load(tmp_path / "absent.json") is None
    for text in ("", "[]", "{}", '{"single": [0], "batch": [0], "measured": 0}',
                 '{"single": [], "batch": [0], "prompt": [0], "measured": 0}',
                 '{"single": ["x"], "batch": [0], "prompt": [0], "measured": 0}'):  # fmt: skip
        file.write_text(text)
        assert balance.load(file) is None


def test_processors_that_are_gone_are_not_used(tmp_path: Path) -> None:
    context, file = TwoCores(), tmp_path / "key.json"
    balance.save(file, Balance((0,), (0,), (5,), time.time()))
    assert balance.settle(balancer(context), file).single == BOTH
