"""Which drafter suits a target: whether their vocabularies fit, and what the pair should gain."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import log2

from edgespec.gguf_header import GgufHeader, TensorInfo
from edgespec.measurements import Measurements
from edgespec.simulation.machine import Machine
from edgespec.simulation.run import ours
from edgespec.simulation.text import Text

PADDING = 128
"""Tokens that one vocabulary may have more than the other, as in pairing.py."""

_TOKENS = 500
_LARGEST_BATCH = 17
_SLOPE = 0.12
"""What a token more adds to a step of a dense target, in plain steps: the simulation's default."""
_ALIKE, _PER_DOUBLING, _RANGE = 0.82, 0.05, (0.3, 0.9)
_SHARED = 2.0
"""How much two models slow each other down that wait for the same memory."""
_SLOW, _FEW = 0.3, 4.0


class Fit(IntEnum):
    """How two vocabularies go together, the best last."""

    NONE = 0
    BYTES = 1
    """Both can spell any text, so drafts can be translated; what that brings is not predicted."""
    EXTENDED = 2
    """Every id that both have means the same; one has some more at its end."""
    IDENTICAL = 3

    @property
    def usable(self) -> bool:
        """Whether such a pair is worth choosing without being asked to."""
        return self >= Fit.EXTENDED


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that might draft, and what was measured with it and the target on this machine."""

    name: str
    header: GgufHeader
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


def rank(target: GgufHeader, candidates: Sequence[Candidate]) -> list[Suggestion]:
    """The candidates, those that promise most first, the unusable ones last."""
    judged = [judge(target, candidate) for candidate in candidates]
    return sorted(judged, key=lambda one: (one.fit.usable, one.speedup, one.here), reverse=True)


def judge(target: GgufHeader, candidate: Candidate) -> Suggestion:
    """What to expect of `candidate` as a drafter for `target`."""
    level = fit(target, candidate.header)
    known = candidate.measured
    acceptance = _acceptance(target, candidate)
    machine = _measured(known) if known else _estimated(target, candidate.header)
    step = machine.draft / machine.verify(1)
    text = Text(lambda _: acceptance, _TOKENS)
    plain = _TOKENS * machine.verify(1)
    speedup = plain / ours(machine, text).seconds if level.usable else 1.0
    warnings = tuple(_warnings(target, candidate.header, level, step, speedup))
    return Suggestion(
        candidate.name, level, candidate.here, acceptance, step, speedup, bool(known), warnings
    )


def fit(target: GgufHeader, drafter: GgufHeader) -> Fit:
    """How the vocabularies of two files go together."""
    key = "tokenizer.ggml.tokens"
    ours_, theirs = list(target.strings(key).raw()), list(drafter.strings(key).raw())
    shared = min(len(ours_), len(theirs))
    same_kind = target.text("tokenizer.ggml.model") == drafter.text("tokenizer.ggml.model")
    if same_kind and ours_[:shared] == theirs[:shared]:
        if len(ours_) == len(theirs):
            return Fit.IDENTICAL
        if abs(len(ours_) - len(theirs)) <= PADDING:
            return Fit.EXTENDED
    spell = ("gpt2", "llama", "gemma4")
    both = all(header.text("tokenizer.ggml.model") in spell for header in (target, drafter))
    return Fit.BYTES if both else Fit.NONE


def active_bytes(header: GgufHeader, tokens: int = 1) -> float:
    """Bytes that a step of `tokens` tokens reads from memory.

    Of a layer with experts, those that no token chooses are not read: with k of E chosen at
    random for each of n tokens, 1 - (1 - k/E)^n of them are.
    """
    experts = header.integer(".expert_count")
    used = max(header.per_layer(".expert_used_count"), default=0)
    woken = 1 - (1 - used / experts) ** tokens if experts else 1.0
    return sum(tensor.size * _share(header, tensor, woken) for tensor in header.tensors)


def _share(header: GgufHeader, tensor: TensorInfo, woken: float) -> float:
    """The part of a tensor that a step reads."""
    if tensor.name == "token_embd.weight" and header.tensor("output.weight"):
        return 0.0  # A row per token, which is next to nothing.
    return woken if "_exps." in tensor.name else 1.0


def _acceptance(target: GgufHeader, candidate: Candidate) -> float:
    """Measured if possible, else from how much larger the target is.

    The prior is a guess at what pairs of one family do on mixed text, to be replaced by
    measurement: 0.82 for models of one size, 0.05 less for each doubling.
    """
    if candidate.measured and (rate := candidate.measured.acceptance.rate("drafter")) is not None:
        return rate
    ratio = target.parameters / max(candidate.header.parameters, 1)
    low, high = _RANGE
    return min(max(_ALIKE - _PER_DOUBLING * log2(max(ratio, 1.0)), low), high)


def _estimated(target: GgufHeader, drafter: GgufHeader) -> Machine:
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
    target: GgufHeader, drafter: GgufHeader, level: Fit, step: float, speedup: float
) -> list[str]:
    if level is Fit.BYTES:
        return ["another vocabulary; named with --drafter, its drafts are translated"]
    if not level.usable:
        return ["another vocabulary"]
    found = []
    ratio = active_bytes(target) / max(active_bytes(drafter), 1.0)
    if target.integer(".expert_count") and ratio < _FEW:
        found.append(f"of the target only {ratio:.1f} times as much works on a token")
    if step > _SLOW:
        found.append(f"a step of it takes {step:.0%} of the target's")
    if speedup < 1.05:
        found.append("it will hardly gain anything, and speculation will mostly be off")
    return found
