"""Whether a model's architecture can be run at all, as the engine itself tells."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from edgespec.errors import ModelUnavailable


def require_known(model: str, architecture: str) -> None:
    """Raise ModelUnavailable if llama.cpp does not know the `architecture` of the GGUF `model`.

    Without llama.cpp nobody can tell.
    """
    try:
        module = import_module("edgespec_backends.llamacpp.architectures")
    except (ImportError, OSError, RuntimeError):
        return
    if not cast(Callable[[str], bool], module.is_known)(architecture):
        raise ModelUnavailable(
            f"{model} is a model of the architecture {architecture}, which this llama.cpp does not "
            "know",
            "update edgespec, or choose another model",
        )
