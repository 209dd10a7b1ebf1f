"""What a model's file says of itself, whatever its format."""

from pathlib import Path

from edgespec import memory
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


def engine(path: Path) -> str:
    """The name of the backend that runs the model at `path`."""
    return "onnx" if is_onnx(path) else "llamacpp"


def rounds(path: Path) -> bool:
    """Whether the model is a graph whose batches cannot stand for its single steps."""
    return is_onnx(path) and read_onnx_header(path).rounds


def shares_cache(path: Path) -> bool:
    """Whether the model's cache can hold many answers: an ONNX graph's holds one, and a recurrent
    model has states that take room for each token that can be taken back."""
    if is_onnx(path):
        return False
    header = read_header(path)
    without, with_one = (memory.estimate(header, 1, 1, 1, rollback=count).kv for count in (0, 1))
    return with_one == without
