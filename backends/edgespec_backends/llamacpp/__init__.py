"""The llama.cpp backend: GGUF models through libllama's low-level bindings."""

from pathlib import Path

from edgespec.protocols import Model, ModelOptions, Progress
from edgespec_backends.llamacpp.devices import remote
from edgespec_backends.llamacpp.isolated import IsolatedModel
from edgespec_backends.llamacpp.lib import system_info
from edgespec_backends.llamacpp.model import LlamaModel

__all__ = ["open_model", "system_info"]


def open_model(path: Path, options: ModelOptions, progress: Progress | None = None) -> Model:
    """Load the GGUF at `path`, whose header was validated before.

    Raises ModelFileError if libllama refuses it, or whatever `progress` raised.
    """
    if options.device in {device.name for device in remote}:
        return IsolatedModel(path, options, progress)
    return LlamaModel(path, options, progress)
