"""A hostile drafter: another model's file with its matrices replaced by noise of the same size."""

import argparse
from functools import partial
from pathlib import Path

import copies
import gguf
import numpy as np
from copies import Tensor
from gguf import GGMLQuantizationType as Quant
from numpy.typing import NDArray


def tensors(source: copies.Source, seed: int) -> list[Tensor]:
    """Matrices are random, norms are kept."""
    random = np.random.default_rng(seed)

    def make(name: str, quant: Quant) -> NDArray[np.generic]:
        values = source.values(name)
        if values.ndim > 1:
            values = random.normal(0, values.std(), values.shape).astype(np.float32)
        return np.asarray(gguf.quants.quantize(values, quant))

    return [
        Tensor(name, source.shape(name), kind, partial(make, name, kind))
        for name, tensor in source.tensors.items()
        for kind in (tensor.tensor_type,)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source = copies.Source(options.source)
    changes = {"general.name": f"{options.source.stem}, weights replaced by noise"}
    copies.write(source, options.output, changes, tensors(source, options.seed))


if __name__ == "__main__":
    main()
