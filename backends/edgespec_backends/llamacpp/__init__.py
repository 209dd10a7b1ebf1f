"""The llama.cpp backend: GGUF models through libllama's low-level bindings."""

from pathlib import Path

from edgespec.protocols import ModelOptions, Progress
from edgespec_backends.llamacpp.lib import system_info
from edgespec_backends.llamacpp.model import LlamaModel

__all__ = ["open_model", "system_info"]


def open_model(path: Path, options: ModelOptions, progress: Progress | None = None) -> LlamaModel:
    """Load the GGUF at `path`, whose header was validated before.

    Raises ModelFileError if libllama refuses it, or whatever `progress` raised.
    """
    return LlamaModel(path, options, progress)
