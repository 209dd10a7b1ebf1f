"""Which processors decode fastest: sets that the topology suggests, measured on the real model."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Self

from edgespec import own_files
from edgespec.cpu_sets import CpuSet
from edgespec.protocols import Bindable

_BATCH = 4
"""Tokens of a typical verification."""
_PROMPT = 64
"""Tokens of a batch that is bound by arithmetic, as those of prompts are."""
_ROUNDS = 5
_TOKENS = 3
"""Single tokens per visit; the first, after a change of threads, does not count."""
_HOPELESS = 1.5
_GAIN = 0.95
"""A set must take at most this part of the first one's time to replace it."""
_SWAP = 0.85
"""Another set for batches must save this much, because changing teams costs time, too."""
_OLD = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Balance:
    """Processors for single tokens, batches and prompts; `measured` is the Unix time."""

    single: tuple[int, ...]
    batch: tuple[int, ...]
    prompt: tuple[int, ...]
    measured: float = 0.0

    @classmethod
    def of(cls, cpus: tuple[int, ...]) -> Self:
        """The same `cpus` for all."""
        return cls(cpus, cpus, cpus)

    @property
    def old(self) -> bool:
        """True if it should be measured again."""
        return not 0 <= time.time() - self.measured <= _OLD


@dataclass(slots=True)
class Balancer:
    """Times a context on each of `candidates`, the first of which is the usual one.

    Visits them in turn, so that a disturbance hits all alike, and compares medians: a thread that
    shares its core with another program is sometimes lucky, and waits most of the time. Leaves the
    cache empty. Must run on the thread that decodes. Sets that are far behind are not visited
    again, and after `budget` seconds only as many as needed for one visit each.
    """

    context: Bindable
    candidates: Sequence[CpuSet]
    budget: float = 3.0
    clock: Callable[[], float] = perf_counter

    def measure(self) -> Balance:
        """The best processors now; the context is bound to them."""
        end = self.clock() + self.budget
        times: dict[int, tuple[list[float], list[float]]] = {}
        left = list(range(len(self.candidates)))
        for visit in range(_ROUNDS):
            for index in left:
                if visit and self.clock() > end:
                    break
                single, batch = times.setdefault(index, ([], []))
                self._visit(self.candidates[index].cpus, single, batch)
            best = min(median(single) for single, _ in times.values())
            left = [at for at in left if median(times[at][0]) <= _HOPELESS * best or at == 0]
        first, many = self._choose({at: (median(s), median(b)) for at, (s, b) in times.items()})
        prompt = self.candidates[self._for_prompts(many, left, end)].cpus
        cpus = self.candidates[first].cpus, self.candidates[many].cpus
        balance = Balance(*cpus, prompt, time.time())
        self._bind(balance)
        return balance

    def holds(self, balance: Balance) -> bool:
        """True if `balance` is still no slower than the usual set; the context is bound to it."""
        usual = self.candidates[0].cpus
        same = usual == balance.single
        ratio = 1.0 if same else min(self._singles(usual)) / min(self._singles(balance.single))
        self._bind(balance)
        return ratio > _GAIN

    def _bind(self, balance: Balance) -> None:
        self.context.bind(balance.single, balance.batch, balance.prompt)

    def _visit(self, cpus: Sequence[int], single: list[float], batch: list[float]) -> None:
        single.extend(self._singles(cpus))
        if self.context.max_outputs >= _BATCH:
            self._step(_BATCH)
            batch.append(self._step(_BATCH))
        else:
            batch.append(single[-1])

    def _singles(self, cpus: Sequence[int]) -> list[float]:
        self.context.bind(cpus, cpus, cpus)
        return [self._step(1) for _ in range(_TOKENS)][1:]

    def _step(self, n: int) -> float:
        begin = self.clock()
        self.context.decode([7] * n, 0, outputs=n if n <= _BATCH else 1)
        self.context.logits(0)
        seconds = self.clock() - begin
        self.context.clear()
        return seconds

    def _choose(self, times: Mapping[int, tuple[float, float]]) -> tuple[int, int]:
        """The candidates for single tokens and for batches."""
        single = min(times, key=lambda at: times[at][0])
        if times[single][0] > _GAIN * times[0][0]:
            single = 0
        batch = min(times, key=lambda at: times[at][1])
        return single, batch if times[batch][1] <= _SWAP * times[single][1] else single

    def _for_prompts(self, usual: int, others: Sequence[int], end: float) -> int:
        """The candidate for prompts: that for batches, unless another one is found by `end`."""
        times: dict[int, float] = {}
        size = min(_PROMPT, self.context.n_batch)
        for at in dict.fromkeys([usual, *others]) if len(others) > 1 else ():
            if self.clock() > end:
                break
            cpus = self.candidates[at].cpus
            self.context.bind(cpus, cpus, cpus)
            times[at] = min(self._step(size) for _ in range(2))
        best = min(times, key=lambda at: times[at], default=usual)
        return best if best == usual or times[best] <= _SWAP * times[usual] else usual


def settle(
    balancer: Balancer,
    file: Path,
    candidates: Callable[[], Sequence[CpuSet]] | None = None,
    *,
    again: bool = False,
) -> Balance:
    """What is kept in `file` if it still holds, else measured now and kept; the context is bound.

    `candidates` tells what to measure if that takes a while to find out. With `again`, something
    about the machine has changed: it is measured in any case.
    """
    kept = None if again else load(file)
    usable = {cpu for one in balancer.candidates for cpu in one.cpus}
    known = {*kept.single, *kept.batch, *kept.prompt} if kept else set()
    if kept and not kept.old and known <= usable and balancer.holds(kept):
        return kept
    if candidates:
        balancer.candidates = candidates()
    balance = balancer.measure()
    save(file, balance)
    return balance


def load(file: Path) -> Balance | None:
    """What was kept in `file`, None if there is nothing usable."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        data = json.loads(file.read_text("utf-8"))
        single, batch, prompt = (
            tuple(map(int, data[key])) for key in ("single", "batch", "prompt")
        )
        if single and batch and prompt:
            return Balance(single, batch, prompt, float(data["measured"]))
    return None


def save(file: Path, balance: Balance) -> None:
    """Keep `balance`, in one step that other processes see whole or not at all."""
    with suppress(OSError):
        own_files.replace(file, json.dumps(asdict(balance)))
