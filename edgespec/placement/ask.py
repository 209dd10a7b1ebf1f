"""From a pair of files to the question, and to what was measured of the pair before."""

from dataclasses import replace
from pathlib import Path

from edgespec import attention, balance, cpu_sets, headers, measurements, paths
from edgespec.attention import AUTO, PLAIN, Attention
from edgespec.balance import Balance
from edgespec.catalog import Pair
from edgespec.cpu_sets import CpuSet
from edgespec.errors import InvalidInput
from edgespec.events import Source
from edgespec.headers import Header
from edgespec.measurements import MeasurementStore
from edgespec.onnx_header import OnnxHeader
from edgespec.placement.choose import Known
from edgespec.placement.enumerate import Pins
from edgespec.placement.question import KV_TYPES, Question
from edgespec.placement.records import Placement
from edgespec.topology import detect

DEFAULT_CONTEXT = 8192
"""Tokens of context that are enough unless more are asked for."""


def question(pair: Pair, n_ctx: int = 0, kv_type: str = "f16", outputs: int = 17) -> Question:
    """What to place of `pair`, whose target gives `outputs` rows of logits at once.

    Raises the ModelUnavailable family for files that cannot be used, InvalidInput for a cache of
    a type that is unknown, or that an ONNX target cannot have.
    """
    target = headers.read(pair.target)
    drafter = headers.read(pair.drafter) if pair.drafter else None
    return question_of(pair.name, target, drafter, n_ctx, kv_type, outputs)


def question_of(
    name: str,
    target: Header,
    drafter: Header | None,
    n_ctx: int = 0,
    kv_type: str = "f16",
    outputs: int = 17,
) -> Question:
    """The question about models whose files need not be here. Raises InvalidInput as above."""
    if kv_type not in KV_TYPES:
        raise InvalidInput(f"there is no cache of type {kv_type!r}", f"take {', '.join(KV_TYPES)}")
    size = n_ctx or min(target.context_length, DEFAULT_CONTEXT)
    if isinstance(target, OnnxHeader):
        if kv_type != KV_TYPES[0]:
            raise InvalidInput(
                f"the cache of {target.path.name} has the type that its graph says",
                "leave out --kv-type",
            )
        size = min(size, target.context_length)
    return Question(name, target, drafter, size, kv_type, outputs)


def attends(question: Question, kind: str = AUTO) -> Attention:
    """How the target of `question` would attend for one answer at a time, as far as is known."""
    timing = attention.kept()
    return attention.choose(kind, question.target, question.n_ctx, question.kv_type, timing)


def known(
    pair: Pair, threads: int, outputs: int, attending: Attention, pins: Pins | None = None
) -> Known:
    """What was measured of `pair` on the processor, with `threads` threads (0 = the fastest)."""
    pins = pins or Pins()
    topology = detect.here()
    usual = cpu_sets.default(topology, threads, pins.cpus)
    measured = None if threads or usual.pinned else balance.load(balance_file(pair.target))
    balanced = Balance.of(usual.cpus) if usual.pinned else measured
    flash, beside = attending.flash, pins.drafter_cpus
    found = MeasurementStore(paths.cache_dir() / "measurements").load(
        costs_key(pair, usual.threads, outputs, balanced, beside=beside, flash=flash)
    )
    cpus = _measured(measured, usual) if measured else usual
    loose = cpu_sets.anywhere(topology) if threads and not usual.pinned else None
    if found is None:
        return Known(cpus, attention=attending, drafter_cpus=loose)
    seats = {seat.cpus: seat for seat in cpu_sets.beside(topology, cpus.cpus)}
    return Known(
        cpus,
        found.costs,
        found.acceptance.rate(Source.DRAFTER),
        attending,
        loose or seats.get(found.drafter),
    )


def balance_file(target: Path) -> Path:
    """Where it is kept which processors decode the model `target` fastest."""
    topology = detect.here()
    key = measurements.key(measurements.identity(target), sorted(topology.allowed), topology.quota)
    return paths.cache_dir() / "balance" / f"{key}.json"


def costs_key(
    pair: Pair,
    threads: int,
    outputs: int,
    balanced: Balance | None = None,
    placement: Placement | None = None,
    *,
    beside: str = "",
    flash: bool = True,
) -> str:
    """Under which key the costs of `pair` are kept: for another placement, other processors than
    usual (None), a drafter pinned to those of `beside`, or without `flash` attention, they are
    others."""
    drafts = pair.drafter and (placement is None or placement.drafter)
    usual = cpu_sets.default(detect.here()).cpus
    unusual: list[object] = []
    if balanced and (balanced.single, balanced.batch) != (usual, usual):
        unusual += [balanced.single, balanced.batch]
    if placement and (placement.devices or placement.kv_type != "f16"):
        unusual.append(placement)
    if beside:
        unusual.append(f"drafter on {beside}")
    if not flash:
        unusual.append(PLAIN)
    used = files(pair) if drafts else [pair.target]
    return measurements.pair_key(used, threads, outputs, *unusual)


def files(pair: Pair) -> list[Path]:
    """The files of a pair, the target's first."""
    return [pair.target, *([pair.drafter] if pair.drafter else [])]


def _measured(balanced: Balance, usual: CpuSet) -> CpuSet:
    """The set that was measured to be the fastest; memory lies where that set wants it."""
    sets = {one.cpus: one for one in reversed(cpu_sets.candidates(detect.here()))}
    found = sets.get(balanced.single, replace(usual, name="chosen", cpus=balanced.single))
    return replace(found, why="measured to be the fastest with this model")
