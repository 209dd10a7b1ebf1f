"""One run of a decoder's graph: tokens in, logits out, its cache one step further."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespec_backends.onnx.caches import GrowingCache, KvCache, SharedCache
from edgespec_backends.onnx.layout import Layout
from edgespec_backends.onnx.lib import device_of


class Decoder:
    """A session with the arrays that its runs are bound to, for `capacity` positions.

    `shared` says that the graph appends to its cache in place. Not for two threads at a time.
    """

    def __init__(
        self, session: Any, layout: Layout, provider: str, capacity: int, *, shared: bool
    ) -> None:
        self._session = session
        self._types = layout.plain
        self._binding = session.io_binding()
        device = device_of(provider)
        self._cache: KvCache = (
            SharedCache(layout.caches, device, capacity)
            if shared
            else GrowingCache(layout.caches, device)
        )
        self._ones = self._array("attention_mask", np.ones((1, capacity)))
        self._positions = self._array("position_ids", np.arange(capacity)[None])
        self.trims = "num_logits_to_keep" in self._types

    def run(
        self, tokens: Sequence[int], start: int, outputs: int, options: Any
    ) -> NDArray[np.floating] | None:
        """Logits of the last `outputs` tokens, shape (outputs, n_vocab); None for no outputs.

        The cache keeps its first `start` positions and what `tokens` add to them. Raises whatever
        the engine raises; the first `start` positions then still count.
        """
        binding, end = self._binding, start + len(tokens)
        self._bind("input_ids", np.array([tokens]))
        self._bind("attention_mask", self._ones[:, :end])
        self._bind("position_ids", self._positions[:, start:end])
        self._bind("num_logits_to_keep", np.array(max(outputs, 1)))
        self._bind("use_cache_branch", np.array([start > 0]))
        binding.bind_output("logits", "cpu")  # Else it stays the last run's, with its shape.
        self._cache.bind(binding, start)
        self._session.run_with_iobinding(binding, options)
        self._cache.keep(binding)
        if not outputs:
            return None
        logits: NDArray[np.floating] = binding.get_outputs_as_ortvaluevector()[0].numpy()
        return logits[0, -outputs:]

    def _bind(self, name: str, values: NDArray[Any]) -> None:
        if name in self._types:
            array = np.asarray(values, self._types[name], order="C")
            self._binding.bind_cpu_input(name, array)

    def _array(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        return values.astype(self._types.get(name, np.dtype(np.int64)))
