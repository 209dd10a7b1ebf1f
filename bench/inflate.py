"""The cost-inflated twin: the source's function at the step time of a bigger model.

Width, heads, hidden size and layers are padded with zeros. An RMS norm takes its mean over the
padded width D instead of d, so x / sqrt(mean + eps) needs eps * d/D inside and a weight times
sqrt(d/D) outside to stay what it was; added layers have zero output projections and pass their
input on. What a twin tells is the cost of the big model together with the acceptance of the
source.
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

import copies
import gguf
import numpy as np
from agreement import compare
from copies import Tensor, Value
from gguf import GGMLQuantizationType as Quant
from numpy.typing import NDArray

QUANTS = {"f32": Quant.F32, "f16": Quant.F16, "q8_0": Quant.Q8_0, "q4_0": Quant.Q4_0}
_FILE_TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
}
_BLOCK = re.compile(r"blk\.(\d+)\.(.+)\.weight")


@dataclass(frozen=True, slots=True)
class Size:
    """What is padded, and up to where."""

    width: int
    layers: int
    hidden: int


SIZES = {
    "0.5b": Size(1024, 24, 5632),
    "1.1b": Size(2048, 22, 5632),
    "3b": Size(3072, 28, 8192),
    "8b": Size(4096, 32, 14336),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that the tensors of a Llama follow from."""

    size: Size
    heads: int
    kv_heads: int
    head_size: int
    epsilon: float

    @classmethod
    def of(cls, source: copies.Source) -> "Shape":
        """The shape of a plain Llama; anything else could not be padded like this."""
        if source.get("general.architecture") != "llama" or source.has("llama.expert_count"):
            raise SystemExit("only plain models of the llama architecture can be inflated")
        size = Size(
            source.get("llama.embedding_length"),
            source.get("llama.block_count"),
            source.get("llama.feed_forward_length"),
        )
        heads = source.get("llama.attention.head_count")
        kv_heads = source.get("llama.attention.head_count_kv")
        epsilon = source.get("llama.attention.layer_norm_rms_epsilon")
        return cls(size, heads, kv_heads, size.width // heads, epsilon)

    def inflated(self, size: Size) -> "Shape":
        """The same heads and as many more of them as the width has grown by."""
        factor, rest = divmod(size.width, self.size.width)
        if rest or size.layers < self.size.layers or size.hidden < self.size.hidden:
            raise SystemExit(f"{self.size} cannot be padded to {size}")
        return replace(
            self,
            size=size,
            heads=self.heads * factor,
            kv_heads=self.kv_heads * factor,
            epsilon=self.epsilon / factor,
        )

    def padded(self, kind: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a tensor of `kind`, now of `shape`, has in a model of this shape."""
        width, hidden = self.size.width, self.size.hidden
        inner, kv_inner = self.heads * self.head_size, self.kv_heads * self.head_size
        shapes = {
            "attn_q": (inner, width),
            "attn_k": (kv_inner, width),
            "attn_v": (kv_inner, width),
            "attn_output": (width, inner),
            "ffn_gate": (hidden, width),
            "ffn_up": (hidden, width),
            "ffn_down": (width, hidden),
            "token_embd": (shape[0], width),
            "output": (shape[0], width),
            "attn_norm": (width,),
            "ffn_norm": (width,),
            "output_norm": (width,),
            "rope_freqs": shape,
        }
        if kind not in shapes:
            raise SystemExit(f"{kind} is not a tensor of a plain Llama")
        return shapes[kind]


def tensors(source: copies.Source, shape: Shape, quant: Quant) -> Iterator[Tensor]:
    """The twin's tensors: the source's, padded, then those of the added layers."""
    factor = shape.size.width // Shape.of(source).size.width
    for name in source.tensors:
        kind = _kind(name)
        after = shape.padded(kind, source.shape(name))
        scale = 1 / sqrt(factor) if kind.endswith("norm") else 1.0
        yield _tensor(name, after, quant, source, name, scale)
    first = [match for name in source.tensors if (match := _BLOCK.match(name)) and match[1] == "0"]
    for layer in range(Shape.of(source).size.layers, shape.size.layers):
        for match in first:
            after = shape.padded(match[2], source.shape(match[0]))
            yield _tensor(f"blk.{layer}.{match[2]}.weight", after, quant)


def _kind(name: str) -> str:
    match = _BLOCK.match(name)
    return match[2] if match else name.removesuffix(".weight")


def _tensor(
    name: str,
    shape: tuple[int, ...],
    quant: Quant,
    source: copies.Source | None = None,
    origin: str = "",
    scale: float = 1.0,
) -> Tensor:
    def make() -> NDArray[Any]:
        nothing = np.empty((0,) * len(shape), np.float32)
        real = source.values(origin) * np.float32(scale) if source else nothing
        return _pad_vector(real, shape[0]) if len(shape) == 1 else _pad_matrix(real, shape, quant)

    return Tensor(name, shape, quant if len(shape) == 2 else Quant.F32, make)


def _pad_vector(real: NDArray[Any], size: int) -> NDArray[Any]:
    out = np.zeros(size, np.float32)
    out[: len(real)] = real
    return out


def _pad_matrix(real: NDArray[Any], shape: tuple[int, ...], quant: Quant) -> NDArray[Any]:
    """Quantizes the rows that hold something and one row of zeros, which is then repeated."""
    rows = np.zeros((len(real) + 1, shape[1]), np.float32)
    rows[: len(real), : real.shape[1]] = real
    packed = gguf.quants.quantize(rows, quant)
    out = np.empty((shape[0], packed.shape[1]), packed.dtype)
    out[: len(real)] = packed[:-1]
    out[len(real) :] = packed[-1]
    return out


def changes(source: copies.Source, shape: Shape, quant: str, like: str) -> dict[str, Value]:
    """The metadata in which the twin differs from its source."""
    name = source.get("general.name") if source.has("general.name") else "unnamed"
    note = f"the cost of a {like} model with the function of {name}: padded with zeros"
    return {
        "general.name": f"{name}, inflated to {like}" if like != "source" else name,
        "general.description": note if like != "source" else f"{name} in {quant}",
        "general.file_type": int(_FILE_TYPES[quant]),
        "llama.embedding_length": shape.size.width,
        "llama.block_count": shape.size.layers,
        "llama.feed_forward_length": shape.size.hidden,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": shape.epsilon,
    }


def inflate(path: Path, output: Path, like: str, quant: str) -> None:
    """Write the twin of `path`, or with `like` "source" only another quantization of it."""
    source = copies.Source(path)
    shape = Shape.of(source)
    if like != "source":
        shape = shape.inflated(SIZES[like])
    made = tensors(source, shape, QUANTS[quant])
    copies.write(source, output, changes(source, shape, quant, like), made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--like", choices=[*SIZES, "source"], default="1.1b")
    parser.add_argument("--quant", choices=QUANTS, default="q4_0")
    parser.add_argument("--check", type=int, metavar="TOKENS", default=0, help="compare greedily")
    arguments = parser.parse_args()
    inflate(arguments.source, arguments.output, arguments.like, arguments.quant)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:,.0f} MB")
    if arguments.check:
        same = arguments.output.with_suffix(".source.gguf")
        inflate(arguments.source, same, "source", arguments.quant)
        print(compare(same, arguments.output, arguments.check))
        same.unlink()


if __name__ == "__main__":
    main()
