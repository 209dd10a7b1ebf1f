"""Which architectures of models this build of libllama knows."""

import os
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from edgespec_backends.llamacpp.lib import llama, recent_errors

_KEY, _STRING = b"general.architecture", 8
_UNKNOWN = "unknown model architecture"


def is_known(architecture: str) -> bool:
    """Whether libllama could load a model of it.

    There is no list of them: libllama is shown a model that has nothing but the name, and says
    whether that is what it lacks first.
    """
    name = architecture.encode()
    header = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    key = struct.pack(f"<Q{len(_KEY)}sI", len(_KEY), _KEY, _STRING)
    recent_errors()
    with TemporaryDirectory() as folder:
        file = Path(folder, "model.gguf")
        file.write_bytes(header + key + struct.pack(f"<Q{len(name)}s", len(name), name))
        params = llama.llama_model_default_params()
        params.vocab_only = True
        if model := llama.llama_model_load_from_file(os.fsencode(file), params):
            llama.llama_model_free(model)
    return _UNKNOWN not in recent_errors()
