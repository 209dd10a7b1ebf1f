"""An exported decoder with its tokenizer; see edgespec.protocols.Model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgespec.errors import InvalidInput, ModelFileError
from edgespec.protocols import ContextOptions, Grammar, ModelOptions, Progress
from edgespec_backends.onnx import probe
from edgespec_backends.onnx.context import OnnxContext
from edgespec_backends.onnx.decoder import Decoder
from edgespec_backends.onnx.files import ModelFiles
from edgespec_backends.onnx.layout import Layout
from edgespec_backends.onnx.lib import CPU, RUNTIME, open_session, reason
from edgespec_backends.onnx.tokenizer import OnnxTokenizer

_NO_GRAMMAR = "an ONNX model cannot be held to a grammar", "use a GGUF target"


class OnnxModel:
    """A session over exported weights."""

    def __init__(self, path: Path, options: ModelOptions, progress: Progress | None) -> None:
        self.path = path
        files = ModelFiles(path)
        _report(progress, path, 0.0)
        self._session: Any = open_session(path, CPU, options.threads)
        self._provider = CPU
        self._layout = Layout.of(self._session, path.name)
        _report(progress, path, 0.8)
        self._shared, n_vocab = self._probe()
        self.tokenizer = OnnxTokenizer(
            files.tokenizer, n_vocab, files.hyperparameter("bos_token_id"), files.end_tokens()
        )
        self.n_ctx_train = files.context_length
        self.metadata: Mapping[str, str] = _metadata(files)
        self.description = self._describe()
        _report(progress, path, 1.0)

    def context(self, options: ContextOptions) -> OnnxContext:
        """A new context over the weights, of one sequence whatever `options` say."""
        return OnnxContext(self._decoder, options, self.n_ctx_train, self.tokenizer.n_vocab)

    def grammar(self, gbnf: str) -> Grammar:
        """Not possible. Raises InvalidInput."""
        raise InvalidInput(*_NO_GRAMMAR)

    def json_schema_grammar(self, schema: str) -> str:
        """Not possible. Raises InvalidInput."""
        raise InvalidInput(*_NO_GRAMMAR)

    def close(self) -> None:
        """Free the weights; contexts must be closed before. Idempotent."""
        self._session = None

    def _decoder(self, capacity: int) -> Decoder:
        return Decoder(self._session, self._layout, self._provider, capacity, shared=self._shared)

    def _probe(self) -> tuple[bool, int]:
        """Whether the cache can live in one buffer, and the size of the vocabulary."""

        def make(*, shared: bool) -> Decoder:
            return Decoder(
                self._session, self._layout, self._provider, probe.CAPACITY, shared=shared
            )

        try:
            expected = probe.rows_of(make(shared=False))
        except Exception as error:
            raise ModelFileError(f"{self.path} does not run: {reason(error)}") from error
        for shared in (True, False):
            if probe.rolls_back(lambda shared=shared: make(shared=shared), expected):  # type: ignore[misc]
                return shared, expected.shape[1]
        raise ModelFileError(
            f"{self.path} cannot take decoded tokens back, which speculation needs",
            "use another export of the model",
        )

    def _describe(self) -> str:
        cache = "one buffer" if self._shared else "growing cache"
        engine = f"ONNX Runtime {RUNTIME}, {self._provider}"
        return f"{self.metadata['general.architecture']}, {cache}, {engine}"


def _metadata(files: ModelFiles) -> dict[str, str]:
    found = {
        "general.architecture": str(files.config.get("model_type", "unknown")),
        "tokenizer.chat_template": files.chat_template(),
    }
    return {key: value for key, value in found.items() if value is not None}


def _report(progress: Progress | None, path: Path, fraction: float) -> None:
    if progress and not progress(fraction):
        raise ModelFileError(f"{path} does not load: loading was stopped")
