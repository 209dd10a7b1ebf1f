"""Estimated memory by what is resident once a model is loaded and its context is full.

Without FILE: the nano pair, and random models of 0.4B, 1.5B and 3.4B parameters, which take 5 GB on
disk while this runs. Each is filled in a process of its own, after a small one has warmed it up.
"""

import argparse
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import machine
import report
import subject
from gguf import GGMLQuantizationType as Quant

from edgespec.gguf_header import TensorInfo, read_header
from edgespec.memory import REPACKED, estimate
from edgespec.protocols import Context, ContextOptions, Model, ModelOptions, backend
from tests.ggufs import llama_gguf

_BATCH, _OUTPUTS = 256, 4
_MIB = 1 << 20
RANDOM = {
    "random-0.4b-q8_0": (24, 1024, 16, 2816, Quant.Q8_0),
    "random-1.5b-q8_0": (28, 1536, 12, 8960, Quant.Q8_0),
    "random-3.4b-q4_0": (28, 3072, 24, 8192, Quant.Q4_0),
}
"""Layers, width, heads, hidden width and type."""


def resident() -> tuple[int, int]:
    """Bytes of this process's own memory, and of files."""
    text = Path("/proc/self/status").read_text()
    own, files = (re.search(rf"{part}:\s+(\d+)", text) for part in ("RssAnon", "RssFile"))
    assert own
    assert files
    return int(own[1]) * 1024, int(files[1]) * 1024


def fill(path: Path, n_ctx: int) -> tuple[Model, Context]:
    """A loaded model whose context is full."""
    model = backend("llamacpp")(path, ModelOptions(threads=1))
    options = ContextOptions(n_ctx=n_ctx, n_batch=_BATCH, max_outputs=_OUTPUTS, rollback=0)
    context = model.context(options)
    for position in range(0, n_ctx, _BATCH):
        context.decode([1] * _BATCH, position, outputs=_OUTPUTS)
    return model, context


def grown(path: Path, n_ctx: int) -> tuple[int, int]:
    """By how many bytes of its own and of files a model makes a process grow."""
    with TemporaryDirectory() as folder:
        warm = fill(llama_gguf(Path(folder) / "small.gguf"), _BATCH)
    before = resident()
    held = fill(path, n_ctx)
    assert warm
    assert held
    own, files = (now - then for now, then in zip(resident(), before, strict=True))
    return own, files


def row(path: Path, n_ctx: int) -> tuple[object, ...]:
    """Name, MiB estimated and resident, and their ratio."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        own, files = process.submit(grown, path, n_ctx).result()
    header = read_header(path)
    need = estimate(header, n_ctx, _BATCH, _OUTPUTS)
    # The pages that weights were repacked from are the system's again when it wants them.
    kept = [tensor.size for tensor in header.tensors if not _is_repacked(tensor)]
    found = own + min(files, sum(kept))
    return path.stem, need.total / _MIB, found / _MIB, f"{need.total / found:.3f}"


def _is_repacked(tensor: TensorInfo) -> bool:
    # Rows of the embeddings are looked up where they are, even if they are multiplied with, too.
    return tensor.type.name in REPACKED and tensor.name != "token_embd.weight"


def models(folder: Path) -> Iterator[Path]:
    """The nano pair and the random models, each of which is gone when the next one comes."""
    yield subject.NANO / "target-q8_0.gguf"
    yield subject.NANO / "drafter-q8_0.gguf"
    for name, (layers, width, heads, hidden, quant) in RANDOM.items():
        path = llama_gguf(
            folder / f"{name}.gguf", n_layer=layers, d=width, heads=heads, ff=hidden,
            vocab=32_000, context=2048, quant=quant,
        )  # fmt: skip
        yield path
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.describe()
    with TemporaryDirectory() as folder:
        rows = [row(path, options.context) for path in options.files or models(Path(folder))]
    print(machine.headline(facts))
    print(report.table(("model", "estimated, MiB", "resident, MiB", "ratio"), rows))
    report.save(options.json, {"machine": facts, "rows": rows})


if __name__ == "__main__":
    main()
