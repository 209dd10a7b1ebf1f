"""How a model attends on the processor: in llama.cpp's flash kernel, or by plain matrix products.

The kernel goes through the keys and values once for each row of a batch and each head. Products go
through them once for all rows, so that long texts cost a verification far less, and single steps
less, too; but single steps and batches round in another way then, which can decide a tie.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import inf
from pathlib import Path
from time import perf_counter

from edgespec import measurements, memory, own_files, paths
from edgespec.catalog import resolve
from edgespec.errors import InvalidInput
from edgespec.gguf_header import GgufHeader
from edgespec.headers import Header
from edgespec.protocols import ContextOptions, Model, ModelOptions, backend

AUTO, FLASH, PLAIN = KINDS = ("auto", "flash", "plain")
"""What may be asked for."""

_DEPTH = 512
_ROWS = 4
_VISITS = 7
_GAIN = 1.25
"""How many times as long the kernel must take: by less, single steps that round alike are worth
more."""
_SHORT = 512
"""Positions of a context that is filled before much is gained, for each answer at a time: prompts
are read more slowly, and then others wait for them."""
_SMALL = 64 << 20
"""Bytes of a model whose steps are so short that there is little to gain either."""
_LEAST_BATCH = 32
_SHARERS = 4
"""Answers at a time whose texts products may go through for each other's rows: with 8, each behind
256 tokens, a lone row gains nothing any more and prompts lose a quarter; with 16 all lose."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a verification of four tokens behind 512 others, in either way."""

    flash: float
    plain: float

    @property
    def ratio(self) -> float:
        """How many times as long the kernel takes."""
        return self.flash / self.plain


@dataclass(frozen=True, slots=True)
class Attention:
    """Whether the kernel is used, and why; `pinned` if that was asked for."""

    flash: bool = True
    why: str = ""
    pinned: bool = False


def choose(
    kind: str,
    header: Header,
    n_ctx: int,
    kv_type: str,
    timing: Timing | None,
    sequences: int = 1,
) -> Attention:
    """How the model of `header` shall attend, with a cache for `sequences` answers at a time.

    `timing` is this machine's, None as long as nobody knows it. Raises InvalidInput if `kind` is
    none of KINDS, or impossible.
    """
    if kind not in KINDS:
        raise InvalidInput(f"there is no attention {kind!r}", f"take {', '.join(KINDS)}")
    if kind == PLAIN and kv_type != "f16":
        raise InvalidInput(
            f"plain attention cannot read a cache of type {kv_type}",
            "leave out --attention or --kv-type",
        )
    if kind != AUTO:
        return Attention(kind == FLASH, "pinned by you", pinned=True)
    if (reason := _settled(header, n_ctx, kv_type, sequences)) is not None:
        return Attention(why=reason)
    if timing is None:
        return Attention(why="until the first loading measures what is faster")
    return Attention(
        timing.ratio < _GAIN,
        f"behind {_DEPTH} tokens, a batch of {_ROWS} takes {timing.ratio:.1f} times as long with "
        "flash attention here (measured with the nano model)",
    )


def open_to(kind: str, header: Header, n_ctx: int, kv_type: str, sequences: int = 1) -> bool:
    """Whether the choice depends on this machine's timing."""
    return kind == AUTO and _settled(header, n_ctx, kv_type, sequences) is None


def _settled(header: Header, n_ctx: int, kv_type: str, sequences: int) -> str | None:
    """Why the kernel is right on any machine, None if it may not be."""
    if sequences > _SHARERS:
        return "many answers share a cache, of which each row needs a part"
    if not isinstance(header, GgufHeader):
        return "as the graph says"
    if kv_type != "f16":
        return f"nothing else reads a cache of type {kv_type}"
    if header.size < _SMALL:
        return "the model is small: its single steps and batches shall round alike"
    return "the context is short" if n_ctx < _SHORT * sequences else None


def batch(header: GgufHeader, n_ctx: int, n_batch: int, outputs: int) -> int:
    """Tokens of a batch that takes no more memory plainly than `n_batch` tokens in the kernel.

    The scores of all heads are laid out. At least 32, where that is more, though little beside a
    cache of so many positions.
    """
    room = memory.compute(header, n_ctx, n_batch, outputs)
    size = n_batch
    while size > _LEAST_BATCH and memory.compute(header, n_ctx, size, outputs, flash=False) > room:
        size //= 2
    return size


def settle(*, again: bool = False) -> Timing:
    """This machine's timing: what is kept, else (or `again`) measured now and kept.

    It does not age: answers that hang on a tie shall be the same next month.
    """
    timing = None if again else kept()
    if timing is None:
        # On a thread that ends: OpenMP keeps a team for each one that lives.
        with ThreadPoolExecutor(1) as thread:
            timing = thread.submit(_measure_nano).result()
        with suppress(OSError):
            own_files.replace(_file(), json.dumps(asdict(timing)))
    return timing


def kept() -> Timing | None:
    """What was measured before, None if there is nothing usable."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads(_file().read_text("utf-8"))
        timing = Timing(float(data["flash"]), float(data["plain"]))
        if timing.flash > 0 and timing.plain > 0:
            return timing
    return None


def _file() -> Path:
    key = measurements.key(version("llama-cpp-python"), _DEPTH, _ROWS)
    return paths.cache_dir() / "attention" / f"{key}.json"


def _measure_nano() -> Timing:
    """One thread is enough for a ratio, and waits for no other at barriers."""
    file = resolve(None, None, speculate=False).target
    with closing(backend("llamacpp")(file, ModelOptions(1), lambda _: True)) as model:
        return measure(model)


def measure(model: Model, clock: Callable[[], float] = perf_counter) -> Timing:
    """The timing with `model`. Either way has its turn, so that a disturbance hits both alike."""
    with ExitStack() as stack:
        contexts = [model.context(_options(flash=flash)) for flash in (True, False)]
        for context in contexts:
            stack.callback(context.close)
            context.decode([7] * _DEPTH, 0, outputs=0)
        least = [inf, inf]
        for _ in range(_VISITS):
            for index, context in enumerate(contexts):
                begin = clock()
                context.decode([7] * _ROWS, _DEPTH, outputs=_ROWS)
                context.logits(0)
                least[index] = min(least[index], clock() - begin)
                context.truncate(_DEPTH)
    return Timing(*least)


def _options(*, flash: bool) -> ContextOptions:
    n_ctx = _DEPTH + 2 * _ROWS
    return ContextOptions(n_ctx, n_batch=_DEPTH, max_outputs=_ROWS, flash=flash)
