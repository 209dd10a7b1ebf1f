"""The ONNX Runtime backend: decoders exported in the Hub's layout, on whatever ORT reaches."""

from pathlib import Path

from edgespec.protocols import ModelOptions, Progress
from edgespec_backends.onnx.lib import system_info
from edgespec_backends.onnx.model import OnnxModel

__all__ = ["open_model", "system_info"]


def open_model(path: Path, options: ModelOptions, progress: Progress | None = None) -> OnnxModel:
    """Load the graph at `path`, with the tokenizer and configuration that lie with it.

    Raises ModelFileError for what ONNX Runtime refuses or this backend cannot drive, or whatever
    `progress` raised.
    """
    return OnnxModel(path, options, progress)
