from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from edgespec.errors import ModelFileError
from edgespec.gguf_header import read_header
from tests.ggufs import Patch, Vocabulary, jamba_gguf, lfm2_gguf, llama_gguf

NAN = float("nan")


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("llama.block_count", 0, "not from 1 to 512"),
        ("llama.block_count", 513, "not from 1 to 512"),
        ("llama.context_length", 0, "llama.context_length is 0"),
        ("llama.embedding_length", 0, "llama.embedding_length is 0"),
        ("llama.embedding_length", 65, "token_embd.weight has the shape (64, 320), not (65, 320)"),
        ("llama.embedding_length", 3, "rotates 16 of a head's 0 dimensions"),
        ("llama.feed_forward_length", 1 << 31, "llama.feed_forward_length is 2147483648"),
        ("llama.attention.head_count", 0, "layer 0 has 0 attention heads for 2 KV heads"),
        ("llama.attention.head_count", 1 << 20, "llama.attention.head_count is"),
        ("llama.attention.head_count_kv", 3, "layer 0 has 4 attention heads for 3 KV heads"),
        ("llama.rope.dimension_count", 15, "rotates 15 of a head's 16 dimensions"),
        ("llama.rope.dimension_count", 18, "rotates 18 of a head's 16 dimensions"),
    ],
)
def test_sizes_that_would_not_load(tmp_path: Path, key: str, value: int, expected: str) -> None:
    path = llama_gguf(tmp_path / "file.gguf")
    Patch(4, "I", value).apply(path, key)
    assert expected in refused(path)


@pytest.mark.parametrize("value", [NAN, float("inf"), -1.0])
def test_an_epsilon_that_would_not_compute(tmp_path: Path, value: float) -> None:
    path = llama_gguf(tmp_path / "file.gguf")
    Patch(4, "f", value).apply(path, "llama.attention.layer_norm_rms_epsilon")
    assert f"epsilon is {value}" in refused(path)


Extra = Callable[[gguf.GGUFWriter], object]


def counts(**values: int) -> Extra:
    def write(writer: gguf.GGUFWriter) -> None:
        for key, value in values.items():
            writer.add_uint32(f"llama.{key}", value)

    return write


def add_beginning(writer: gguf.GGUFWriter) -> None:
    writer.add_bos_token_id(320)
    writer.kv_data[0]["tokenizer.ggml.add_bos_token"].value = True


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (lambda w: w.add_type("adapter"), "a file of type adapter"),
        (lambda w: w.add_causal_attention(False), "cannot continue it"),
        (lambda w: w.add_rope_freq_base(NAN), "llama.rope.freq_base is nan"),
        (lambda w: w.add_string("llama.rope.scaling.type", "\x1b[2J"), "'\\x1b[2J'"),
        (counts(expert_count=1025), "llama.expert_count is 1025"),
        (counts(expert_count=4), "uses 0 of 4 experts"),
        (counts(expert_used_count=2), "uses 2 of 0 experts"),
        (counts(expert_count=4, expert_used_count=8), "uses 8 of 4 experts"),
        (counts(expert_count=4, expert_used_count=2, expert_group_count=3), "into 3 groups"),
        (counts(expert_count=4, expert_used_count=2, expert_group_count=2), "0 of 2 groups"),
        (counts(nextn_predict_layers=2), "llama.nextn_predict_layers is 2"),
        (add_beginning, "bos token, 320, is not in its vocabulary"),
    ],
)
def test_keys_that_would_not_load(tmp_path: Path, extra: Extra, expected: str) -> None:
    assert expected in refused(llama_gguf(tmp_path / "file.gguf", extra=extra))


@pytest.mark.parametrize(
    "key",
    ["llama.block_count", "llama.context_length", "llama.embedding_length", "token_embd.weight"],
)
def test_what_is_missing_is_named(tmp_path: Path, key: str) -> None:
    path = llama_gguf(tmp_path / "file.gguf")
    path.write_bytes(path.read_bytes().replace(key.encode(), key.encode()[:-1] + b"_"))
    assert f"{key} is missing" in refused(path)


@pytest.mark.parametrize("name", [b"ll ma", b"\x1b[2Jl", b"     "])
def test_an_architecture_with_an_odd_name(tmp_path: Path, name: bytes) -> None:
    path = llama_gguf(tmp_path / "file.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", name, 2))
    assert "architecture" in refused(path)


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    path = llama_gguf(tmp_path / "file.gguf")
    path.write_bytes(path.read_bytes().replace(b"ggml.tokens", b"ggml.smoken"))
    assert "it has no tokenizer" in refused(path)


def test_a_vocabulary_that_repeats_itself(tmp_path: Path) -> None:
    path = llama_gguf(tmp_path / "file.gguf", vocabulary=Vocabulary(("a", "b", "c", "a", "d")))
    assert "two tokens of its vocabulary are the same" in refused(path)


def test_empty_tokens_are_not_the_same(tmp_path: Path) -> None:
    read_header(llama_gguf(tmp_path / "file.gguf", vocabulary=Vocabulary(("a", "", "", "b"))))


def test_a_vocabulary_that_cannot_spell_everything(tmp_path: Path) -> None:
    spelled = tuple(f"<0x{byte:02X}>" for byte in range(256) if byte != ord("!"))
    path = tmp_path / "file.gguf"
    llama_gguf(path, vocabulary=Vocabulary((*spelled, "a", "b", "c"), model="llama"))
    assert "cannot spell the byte 0x21" in refused(path)
    llama_gguf(path, vocabulary=Vocabulary((*spelled, "!", "b", "c"), model="llama"))
    read_header(path)


@pytest.mark.parametrize(
    ("tensor", "shape", "kind", "expected"),
    [
        ("output_norm.weight", 1, gguf.GGMLQuantizationType.I32, "as I32"),
        ("blk.0.attn_q.weight", 2, gguf.GGMLQuantizationType.I32, "as I32"),
    ],
)
def test_tensors_of_a_type_that_crashes_the_engine(
    tmp_path: Path, tensor: str, shape: int, kind: int, expected: str
) -> None:
    path = llama_gguf(tmp_path / "file.gguf")
    Patch(4 + 8 * shape, "I", kind).apply(path, tensor)
    assert expected in refused(path)


def test_a_vector_of_another_type_than_f32(tmp_path: Path) -> None:
    path = jamba_gguf(tmp_path / "file.gguf")
    # Eight values: padded, they take the same space in both types.
    Patch(12, "I", gguf.GGMLQuantizationType.F16).apply(path, "blk.0.ssm_dt_norm.weight")
    assert "'blk.0.ssm_dt_norm.weight' as F16" in refused(path)


def test_recurrent_sizes_that_crash_the_engine(tmp_path: Path) -> None:
    path = jamba_gguf(tmp_path / "jamba.gguf")
    Patch(4, "I", 64).apply(path, "jamba.ssm.inner_size")
    assert "jamba.ssm.inner_size is 64" in refused(path)
    path = lfm2_gguf(tmp_path / "lfm2.gguf")
    Patch(4, "I", 1).apply(path, "lfm2.shortconv.l_cache")
    assert "lfm2.shortconv.l_cache is 1" in refused(path)
