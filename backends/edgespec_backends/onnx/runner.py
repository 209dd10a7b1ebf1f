"""A graph on one execution provider, tried out: does it run, roll back, and how fast is a step."""

from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from edgespec.errors import ModelFileError
from edgespec_backends.onnx import probe
from edgespec_backends.onnx.decoder import Decoder
from edgespec_backends.onnx.layout import Layout
from edgespec_backends.onnx.lib import open_session, reason, run_options

_STEPS = 9
_WARM_UP = 3


class Runner:
    """An open session, what it decoded of the probe's text, and the kind of cache that works.

    With `whole` no operator may be left to the CPU. Raises ModelFileError if the provider does not
    take the graph, or the graph cannot be driven.
    """

    def __init__(self, path: Path, provider: str, threads: int, *, whole: bool = False) -> None:
        self.provider = provider
        self._session: Any = open_session(path, provider, threads, whole=whole)
        if provider not in self._session.get_providers():
            raise ModelFileError(f"{provider} does not start here")
        self._layout = Layout.of(self._session, path.name)
        try:
            self.rows = probe.rows_of(self._decoder(probe.CAPACITY, shared=False))
        except Exception as error:
            raise ModelFileError(f"{path} does not run: {reason(error)}") from error
        self.shared = self._rolls_back(shared=True)
        if not self.shared and not self._rolls_back(shared=False):
            raise ModelFileError(
                f"{path} cannot take decoded tokens back, which speculation needs",
                "use another export of the model",
            )

    @property
    def n_vocab(self) -> int:
        """How many logits there are."""
        return int(self.rows.shape[1])

    def decoder(self, capacity: int) -> Decoder:
        """The graph, ready for `capacity` positions."""
        return self._decoder(capacity, shared=self.shared)

    def step(self) -> float:
        """Seconds of one step with a nearly empty cache, the first few left out."""
        decoder, options = self.decoder(probe.CAPACITY), run_options()
        times = []
        for position in range(_WARM_UP + _STEPS):
            begin = perf_counter()
            decoder.run([1 + position], position, 1, options)
            times.append(perf_counter() - begin)
        return median(times[_WARM_UP:])

    def _decoder(self, capacity: int, *, shared: bool) -> Decoder:
        return Decoder(self._session, self._layout, self.provider, capacity, shared=shared)

    def _rolls_back(self, *, shared: bool) -> bool:
        return probe.rolls_back(lambda: self._decoder(probe.CAPACITY, shared=shared), self.rows)
