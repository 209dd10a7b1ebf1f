"""From a pair of files to the question and what is known of it."""

from pathlib import Path

from edgespec import measurements, paths
from edgespec.catalog import Pair
from edgespec.cpus import default_threads
from edgespec.events import Source
from edgespec.gguf_header import read_header
from edgespec.measurements import MeasurementStore
from edgespec.placement.choose import Known
from edgespec.placement.question import Question

DEFAULT_CONTEXT = 8192
"""Tokens of context that are enough unless more are asked for."""


def question(pair: Pair, n_ctx: int = 0, kv_type: str = "f16") -> Question:
    """What to place of `pair`. Raises the ModelUnavailable family for files that cannot be used."""
    target = read_header(pair.target)
    drafter = read_header(pair.drafter) if pair.drafter else None
    size = n_ctx or min(target.context_length, DEFAULT_CONTEXT)
    return Question(pair.name, target, drafter, size, kv_type)


def known(pair: Pair, threads: int, outputs: int) -> Known:
    """What was measured of `pair` with `threads` threads and `outputs` rows of logits."""
    key = measurements.pair_key(files(pair), threads or default_threads(), outputs)
    found = MeasurementStore(paths.cache_dir() / "measurements").load(key)
    if found is None:
        return Known()
    return Known(found.costs, found.acceptance.rate(Source.DRAFTER))


def files(pair: Pair) -> list[Path]:
    """The files of a pair, the target's first."""
    return [pair.target, *([pair.drafter] if pair.drafter else [])]
