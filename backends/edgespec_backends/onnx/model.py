"""An exported decoder with its tokenizer; see edgespec.protocols.Model."""

from collections.abc import Mapping
from pathlib import Path

from edgespec.errors import InvalidInput, ModelFileError
from edgespec.protocols import ContextOptions, Grammar, ModelOptions, Progress
from edgespec_backends.onnx.context import OnnxContext
from edgespec_backends.onnx.files import ModelFiles
from edgespec_backends.onnx.lib import RUNTIME
from edgespec_backends.onnx.providers import choose
from edgespec_backends.onnx.runner import Runner
from edgespec_backends.onnx.tokenizer import OnnxTokenizer

_NO_GRAMMAR = "an ONNX model cannot be held to a grammar", "use a GGUF target"


class OnnxModel:
    """A session over exported weights."""

    def __init__(self, path: Path, options: ModelOptions, progress: Progress | None) -> None:
        self.path = path
        files = ModelFiles(path)
        _report(progress, path, 0.0)
        self._runner: Runner | None = choose(path, options.threads, options.on_note)
        _report(progress, path, 0.8)
        self.tokenizer = OnnxTokenizer(
            files.tokenizer,
            self._runner.n_vocab,
            files.hyperparameter("bos_token_id"),
            files.end_tokens(),
        )
        self.n_ctx_train = files.context_length
        self.metadata: Mapping[str, str] = _metadata(files)
        self.description = _describe(self.metadata, self._runner)
        _report(progress, path, 1.0)

    def context(self, options: ContextOptions) -> OnnxContext:
        """A new context over the weights, of one sequence whatever `options` say."""
        assert self._runner, "a closed model was used"
        return OnnxContext(self._runner.decoder, options, self.n_ctx_train, self.tokenizer.n_vocab)

    def grammar(self, gbnf: str) -> Grammar:
        """Not possible. Raises InvalidInput."""
        raise InvalidInput(*_NO_GRAMMAR)

    def json_schema_grammar(self, schema: str) -> str:
        """Not possible. Raises InvalidInput."""
        raise InvalidInput(*_NO_GRAMMAR)

    def close(self) -> None:
        """Free the weights; contexts must be closed before. Idempotent."""
        self._runner = None


def _describe(metadata: Mapping[str, str], runner: Runner) -> str:
    cache = "one buffer" if runner.shared else "growing cache"
    engine = f"ONNX Runtime {RUNTIME}, {runner.provider}"
    return f"{metadata['general.architecture']}, {cache}, {engine}"


def _metadata(files: ModelFiles) -> dict[str, str]:
    found = {
        "general.architecture": str(files.config.get("model_type", "unknown")),
        "tokenizer.chat_template": files.chat_template(),
    }
    return {key: value for key, value in found.items() if value is not None}


def _report(progress: Progress | None, path: Path, fraction: float) -> None:
    if progress and not progress(fraction):
        raise ModelFileError(f"{path} does not load: loading was stopped")
