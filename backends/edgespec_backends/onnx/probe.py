"""What a decoder really does, found out by running it: its logits, and how its cache rolls back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespec_backends.onnx.decoder import Decoder
from edgespec_backends.onnx.lib import run_options

Rows = NDArray[np.floating]

CAPACITY = 16
_TEXT = (1, 2, 3, 4, 5, 6)
_ROUNDING = 0.02
"""How far logits may be off, as a share of their range: half floats in another order."""


def rows_of(decoder: Decoder) -> Rows:
    """Logits after each token of a fixed text, decoded in one batch: shape (n, n_vocab)."""
    rows = decoder.run(_TEXT, 0, len(_TEXT), run_options())
    assert rows is not None
    return rows


def rolls_back(make: Callable[[], Decoder], expected: Rows) -> bool:
    """Whether what is appended after a rollback gives the logits that a fresh run gives.

    Also appends several tokens to a past, which older GroupQueryAttention took for a new prompt.
    """
    options: Any = run_options()
    try:
        decoder = make()
        decoder.run(_TEXT[:2], 0, 0, options)
        decoder.run((9, 8, 7), 2, 0, options)
        pair = decoder.run(_TEXT[2:4], 2, 2, options)
        single = decoder.run(_TEXT[4:5], 4, 1, options)
        last = decoder.run(_TEXT[5:6], 5, 1, options)
    except Exception:  # Whatever it cannot do, the other kind of cache may.
        return False
    return all(
        rows is not None and agree(rows, expected[at : at + len(rows)])
        for rows, at in ((pair, 2), (single, 4), (last, 5))
    )


def agree(rows: Rows, expected: Rows) -> bool:
    """Whether two results are the same up to rounding."""
    if rows.shape != expected.shape or not np.isfinite(rows).all():
        return False
    return float(np.abs(rows - expected).max()) <= _ROUNDING * float(np.ptp(expected))
