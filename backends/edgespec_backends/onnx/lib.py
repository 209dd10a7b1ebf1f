"""The loaded ONNX Runtime: its only importer, and what its sessions and errors look like here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgespec.errors import ModelFileError

CPU = "CPUExecutionProvider"
RUNTIME: str = ort.__version__

_SILENT = 4
_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_SPINNING = "session.intra_op.allow_spinning"
_DEVICES = {"CUDAExecutionProvider": "cuda", "DmlExecutionProvider": "dml"}

# Errors are raised as well; its log would spoil a pipe and tear a full-screen terminal.
ort.set_default_logger_severity(_SILENT)
ort.disable_telemetry_events()


def available() -> list[str]:
    """The execution providers that this build of ONNX Runtime was made with."""
    return list(ort.get_available_providers())


def open_session(path: Path, provider: str, threads: int, *, whole: bool = False) -> Any:
    """An InferenceSession that prefers `provider` and leaves what that cannot run to the CPU.

    With `whole` nothing may be left to the CPU. Workers never spin: they would take the cores from
    the target. Raises ModelFileError with the engine's reason.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    options.add_session_config_entry(_SPINNING, "0")
    if whole:
        options.add_session_config_entry(_NO_FALLBACK, "1")
    providers = [provider] if provider == CPU or whole else [provider, CPU]
    try:
        session = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # Its exceptions have no base of their own.
        raise ModelFileError(f"{path} does not load: {reason(error)}") from error
    session.disable_fallback()  # Else a failing run would silently begin again on the CPU.
    return session


def run_options() -> Any:
    """Options of a run; setting `terminate` from any thread ends it."""
    options = ort.RunOptions()
    options.log_severity_level = _SILENT
    return options


def device_of(provider: str) -> str:
    """Where the caches of `provider` live, by ORT's name for it; mostly in the CPU's memory."""
    return _DEVICES.get(provider, "cpu")


def to_device(values: Any, device: str) -> Any:
    """An OrtValue of `values` on `device`; on the CPU it shares their memory."""
    return ort.OrtValue.ortvalue_from_numpy(values, device, 0)


def reason(error: Exception) -> str:
    """What the engine says, without its prefixes and source lines."""
    text = str(error).partition("\n")[0]
    return text.rpartition("] : ")[2] or type(error).__name__


def sizes(shape: Sequence[int | str | None]) -> list[int]:
    """A declared shape, unknown sizes as 0."""
    return [size if isinstance(size, int) else 0 for size in shape]
