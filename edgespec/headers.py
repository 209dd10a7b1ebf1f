"""What a model's file says of itself, whatever its format."""

from pathlib import Path

from edgespec.gguf_header import GgufHeader, read_header
from edgespec.onnx_header import OnnxHeader, read_onnx_header

Header = GgufHeader | OnnxHeader

_ONNX = ".onnx"


def is_onnx(path: Path) -> bool:
    """Whether the model at `path` is an ONNX graph; everything else is taken for a GGUF."""
    return path.suffix == _ONNX


def read(path: Path) -> Header:
    """The header of the model at `path`. Raises ModelFileError, naming the file."""
    return read_onnx_header(path) if is_onnx(path) else read_header(path)
