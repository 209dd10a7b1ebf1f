"""Which drafter suits a target: whether their vocabularies fit, and what the pair should gain."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import log2

from edgespec.gguf_header import GgufHeader, TensorInfo
from edgespec.headers import Header
from edgespec.measurements import Measurements
from edgespec.onnx_header import OnnxHeader
from edgespec.simulation.machine import Machine
from edgespec.simulation.run import ours
from edgespec.simulation.text import Text
from edgespec.vocabulary import vocabulary

PADDING = 128
"""Tokens that one vocabulary may have more than the other, as in pairing.py."""

_TOKENS = 500
_LARGEST_BATCH = 17
_SLOPE = 0.12
"""What a token more adds to a step of a dense target, in plain steps: the simulation's default."""
_ALIKE, _PER_DOUBLING, _RANGE = 0.82, 0.05, (0.3, 0.9)
_BRIDGED = 0.7
"""What a bridge leaves of the acceptance: seen with the nano pair at a coverage of 84 %."""
_SHARED = 2.0
"""How much two models slow each other down that wait for the same memory."""
_SLOW, _FEW = 0.3, 4.0


class Fit(IntEnum):
    """How two vocabularies go together, the best last."""

    NONE = 0
    BYTES = 1
    """Both can spell any text, so drafts go over a bridge."""
    EXTENDED = 2
    """Every id that both have means the same; one has some more at its end."""
    IDENTICAL = 3

    @property
    def usable(self) -> bool:
        """Whether edgespec can run such a pair."""
        return self > Fit.NONE

    @property
    def direct(self) -> bool:
        """Whether drafts need no bridge."""
        return self >= Fit.EXTENDED


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that might draft, and what was measured with it and the target on this machine."""

    name: str
    header: Header
    here: bool = True
    measured: Measurements | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A drafter judged. `acceptance` is the chance that its next token is right.

    `step` is the time of one of its steps and `speedup` the tokens per second to expect, both
    relative to the target's plain decoding. Unless `measured`, they follow from the files' sizes,
    because decoding waits for memory, and from a prior. `warnings` say what speaks against it.
    """

    name: str
    fit: Fit
    here: bool
    acceptance: float
    step: float
    speedup: float
    measured: bool
    warnings: tuple[str, ...]


def rank(target: Header, candidates: Sequence[Candidate]) -> list[Suggestion]:
    """The candidates, those that promise most first, the unusable ones last."""
    judged = [judge(target, candidate) for candidate in candidates]
    return sorted(judged, key=lambda one: (one.fit.usable, one.speedup, one.here), reverse=True)


def judge(target: Header, candidate: Candidate) -> Suggestion:
    """What to expect of `candidate` as a drafter for `target`."""
    level = fit(target, candidate.header)
    known = candidate.measured
    acceptance = _acceptance(target, candidate, level)
    machine = _measured(known) if known else _estimated(target, candidate.header)
    step = machine.draft / machine.verify(1)
    text = Text(lambda _: acceptance, _TOKENS)
    plain = _TOKENS * machine.verify(1)
    speedup = plain / ours(machine, text).seconds if level.usable else 1.0
    warnings = tuple(_warnings(target, candidate.header, level, step, speedup))
    return Suggestion(
        candidate.name, level, candidate.here, acceptance, step, speedup, bool(known), warnings
    )


def fit(target: Header, drafter: Header) -> Fit:
    """How the vocabularies of two models go together."""
    one, other = vocabulary(target), vocabulary(drafter)
    shared = min(len(one.tokens), len(other.tokens))
    if one.kind == other.kind and one.tokens[:shared] == other.tokens[:shared]:
        if len(one.tokens) == len(other.tokens):
            return Fit.IDENTICAL
        if abs(len(one.tokens) - len(other.tokens)) <= PADDING:
            return Fit.EXTENDED
    return Fit.BYTES if one.spells and other.spells else Fit.NONE


def active_bytes(header: Header, tokens: int = 1) -> float:
    """Bytes that a step of `tokens` tokens reads from memory.

    Of a layer with experts, those that no token chooses are not read: with k of E chosen at
    random for each of n tokens, 1 - (1 - k/E)^n of them are.
    """
    if isinstance(header, OnnxHeader):
        return float(header.weights)
    experts = _experts(header)
    used = max(header.per_layer(".expert_used_count"), default=0)
    woken = 1 - (1 - used / experts) ** tokens if experts else 1.0
    return sum(tensor.size * _share(header, tensor, woken) for tensor in header.tensors)


def _experts(header: Header) -> int:
    """How many a layer has, 0 for those of a graph, which do not show."""
    return header.integer(".expert_count") if isinstance(header, GgufHeader) else 0


def _share(header: GgufHeader, tensor: TensorInfo, woken: float) -> float:
    """The part of a tensor that a step reads."""
    if tensor.name == "token_embd.weight" and header.tensor("output.weight"):
        return 0.0  # A row per token, which is next to nothing.
    return woken if "_exps." in tensor.name else 1.0


def _acceptance(target: Header, candidate: Candidate, level: Fit) -> float:
    """Measured if possible, else from how much larger the target is.

    The prior is a guess at what pairs of one family do on mixed text, to be replaced by
    measurement: 0.82 for models of one size, 0.05 less for each doubling.
    """
    if candidate.measured and (rate := candidate.measured.acceptance.rate("drafter")) is not None:
        return rate
    ratio = target.parameters / max(candidate.header.parameters, 1)
    low, high = _RANGE
    prior = min(max(_ALIKE - _PER_DOUBLING * log2(max(ratio, 1.0)), low), high)
    return prior if level.direct else _BRIDGED * prior


def _estimated(target: Header, drafter: Header) -> Machine:
    """A machine whose steps take as long as reading the weights, and a little per token."""
    plain = active_bytes(target)

    def verify(n: int) -> float:
        return active_bytes(target, n) / plain * (1 + _SLOPE * (n - 1))

    times = {n: verify(n) for n in range(1, _LARGEST_BATCH + 1)}
    return Machine(
        times.__getitem__,
        active_bytes(drafter) / plain,
        verify_contention=_SHARED,
        draft_contention=_SHARED,
        max_batch=_LARGEST_BATCH,
    )


def _measured(known: Measurements) -> Machine:
    """This machine, as it was calibrated with this pair."""
    costs = known.costs
    depth = min(costs.verify)
    sizes = costs.verify[depth]
    points = sorted(sizes)

    def verify(n: int) -> float:
        return sizes[min((point for point in points if point >= n), default=points[-1])]

    return Machine(
        verify,
        costs.draft[min(costs.draft)],
        costs.draft_row,
        costs.verify_contention,
        costs.draft_contention,
        points[-1],
    )


def _warnings(
    target: Header, drafter: Header, level: Fit, step: float, speedup: float
) -> list[str]:
    if not level.usable:
        return ["another vocabulary"]
    found = [] if level.direct else ["another vocabulary, drafts go over a bridge"]
    ratio = active_bytes(target) / max(active_bytes(drafter), 1.0)
    if _experts(target) and ratio < _FEW:
        found.append(f"of the target only {ratio:.1f} times as much works on a token")
    if step > _SLOW:
        found.append(f"a step of it takes {step:.0%} of the target's")
    if speedup < 1.05:
        found.append("it will hardly gain anything, and speculation will mostly be off")
    return found
