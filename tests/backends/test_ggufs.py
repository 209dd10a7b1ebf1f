"""The random-weight files are real: llama.cpp loads and decodes them, and takes what we expect."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from llama_cpp._ggml import libggml

from edgespec.ggml_types import GGML_TYPES
from edgespec.gguf_header import read_header
from edgespec.memory import estimate
from edgespec_backends.llamacpp.devices import device_list
from edgespec_backends.llamacpp.lib import llama
from tests.backends.nano import TARGET
from tests.ggufs import jamba_gguf, lfm2_gguf, llama_gguf

pytestmark = pytest.mark.native
FILL = """
import re, sys
from pathlib import Path
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec_backends.llamacpp import open_model

def resident():
    text = Path("/proc/self/status").read_text()
    parts = ("RssAnon", "RssFile")
    return [int(re.search(rf"{part}:\\s+(\\d+)", text)[1]) * 1024 for part in parts]

def fill(path, n_ctx):
    model = open_model(Path(path), ModelOptions(threads=1))
    options = ContextOptions(n_ctx=n_ctx, n_batch=256, max_outputs=4, rollback=0)
    context = model.context(options)
    for position in range(0, n_ctx, 256):
        context.decode([1] * 256, position, outputs=4)
    return model, context

first = fill(sys.argv[1], 256)
before = resident()
second = fill(sys.argv[2], 1024)
print(*(now - then for now, then in zip(resident(), before)))
"""
"""Prints by how many bytes of its own and of files the second model makes the process grow; the
first warms it up."""
TEXT = "Grüße, 世界! \x00\x7f\n".encode()


def decode(path: Path, rollback: int) -> tuple[list[int], bool]:
    """Decode TEXT: its tokens, and whether the last two could be taken back."""
    loading = llama.llama_model_default_params()
    # Not on a remote device that another test has introduced and left.
    devices = device_list("")
    loading.devices = ctypes.cast(devices, ctypes.c_void_p)
    model = llama.llama_model_load_from_file(str(path).encode(), loading)
    vocab = llama.llama_model_get_vocab(model)
    tokens = (llama.llama_token * 256)()
    n = llama.llama_tokenize(vocab, TEXT, len(TEXT), tokens, 256, True, True)
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_rs_seq = 256, 64, rollback
    params.n_threads = params.n_threads_batch = 1
    context = llama.llama_init_from_model(model, params)
    assert llama.llama_decode(context, llama.llama_batch_get_one(tokens, n)) == 0
    size = llama.llama_vocab_n_tokens(vocab)
    logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (size,))
    assert np.isfinite(logits).all()
    assert logits.std() > 0.1
    memory = llama.llama_get_memory(context)
    back = llama.llama_memory_seq_rm(memory, 0, n - 2, -1)
    llama.llama_free(context)
    llama.llama_model_free(model)
    return tokens[:n], back


def test_llama(tmp_path: Path) -> None:
    tokens, back = decode(llama_gguf(tmp_path / "file.gguf"), rollback=0)
    assert len(tokens) > 10
    assert back


def test_another_vocabulary_means_other_tokens(tmp_path: Path) -> None:
    tokens, _ = decode(llama_gguf(tmp_path / "a.gguf"), rollback=0)
    others, _ = decode(llama_gguf(tmp_path / "b.gguf", variant=1), rollback=0)
    assert tokens != others


@pytest.mark.parametrize("rollback", [0, 4])
def test_lfm2_rolls_back_if_it_keeps_states(tmp_path: Path, rollback: int) -> None:
    _, back = decode(lfm2_gguf(tmp_path / "file.gguf"), rollback)
    assert back is (rollback > 0)


def test_jamba_never_rolls_back(tmp_path: Path) -> None:
    _, back = decode(jamba_gguf(tmp_path / "file.gguf"), rollback=4)
    assert not back


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("vocab", "quant"),
    [
        (8192, GGMLQuantizationType.F16),
        (64_000, GGMLQuantizationType.F32),
        (8192, GGMLQuantizationType.Q8_0),
        (32_000, GGMLQuantizationType.Q4_0),
        (0, None),
    ],
)
def test_the_memory_estimate(
    tmp_path: Path, vocab: int, quant: GGMLQuantizationType | None
) -> None:
    small = llama_gguf(tmp_path / "small.gguf")
    large = TARGET
    if quant is not None:
        large = llama_gguf(
            tmp_path / "large.gguf", n_layer=6, d=512, heads=8, ff=1024, vocab=vocab, context=1024,
            quant=quant,
        )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", FILL, small, large],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    header = read_header(large)
    own, of_files = map(int, done.stdout.split())
    if quant is GGMLQuantizationType.Q4_0:
        # Their pages were read to repack them, and go when the memory is needed.
        embeddings = header.tensor("token_embd.weight")
        of_files = embeddings.size if embeddings else 0
    assert estimate(header, 1024, 256, 4).total == pytest.approx(own + of_files, rel=0.05)


def test_the_table_of_types_agrees_with_the_engine() -> None:
    libggml.ggml_type_size.restype = ctypes.c_size_t
    libggml.ggml_type_name.restype = ctypes.c_char_p
    libggml.ggml_blck_size.restype = ctypes.c_int64
    for code, kind in GGML_TYPES.items():
        assert libggml.ggml_type_name(code).decode().lower() == kind.name.lower()
        assert (libggml.ggml_blck_size(code), libggml.ggml_type_size(code)) == kind[1:]
