import struct
from pathlib import Path
from time import process_time

import gguf
import pytest

from edgespec.errors import ModelFileError, ModelUnavailable
from edgespec.gguf_header import GgufHeader, read_header
from tests.ggufs import Patch, jamba_gguf, lfm2_gguf, llama_gguf


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return llama_gguf(tmp_path / "tiny.gguf")


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    message = str(caught.value)
    assert str(path.parent) in message
    assert "\n" not in message
    assert len(message) < 400
    return message


def unavailable(path: Path) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        read_header(path)
    assert caught.type is ModelUnavailable
    return str(caught.value)


def test_it_reads_what_the_gguf_package_reads(path: Path) -> None:
    header, reader = read_header(path), gguf.GGUFReader(path)
    assert header.metadata.keys() == {key for key in reader.fields if not key.startswith("GGUF.")}
    for key, value in header.metadata.items():
        contents = reader.fields[key].contents()
        assert (list(value) if isinstance(contents, list) else value) == contents  # type: ignore[arg-type]
    ours = [(t.name, list(t.shape), t.type.name, t.offset, t.size) for t in header.tensors]
    assert ours == [
        (t.name, t.shape.tolist(), t.tensor_type.name, t.data_offset, t.n_bytes)
        for t in reader.tensors
    ]
    assert header.size == path.stat().st_size
    assert header.shards == (path,)


def test_every_type_of_value(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "values.gguf"
    values = {
        "x.uint8": 200,
        "x.int8": -3,
        "x.uint16": 60000,
        "x.int16": -300,
        "x.uint32": 1 << 31,
        "x.int32": -5,
        "x.uint64": 1 << 63,
        "x.int64": -(1 << 40),
        "x.float64": 0.1,
    }
    llama_gguf(other, extra=lambda writer: add_values(writer, values))
    header = read_header(other)
    assert {key: header.metadata[key] for key in values} == values
    assert header.metadata["x.flag"] is True
    assert list(header.metadata["x.array"]) == [1, -2, 3]  # type: ignore[arg-type]
    assert list(header.metadata["x.flags"]) == [True, False]  # type: ignore[arg-type]


def add_values(writer: gguf.GGUFWriter, values: dict[str, float]) -> None:
    for key, value in values.items():
        getattr(writer, f"add_{key.removeprefix('x.')}")(key, value)
    writer.add_bool("x.flag", True)
    writer.add_array("x.array", [1, -2, 3])
    writer.add_array("x.flags", [True, False])


def test_the_getters(path: Path, tmp_path: Path) -> None:
    header = read_header(path)
    assert header.architecture == "llama"
    assert header.context_length == 512
    assert header.integer("no.such.key", 7) == 7
    assert header.text("no.such.key") == ""
    assert header.per_layer(".attention.head_count_kv") == (2, 2)
    assert header.tensor("output_norm.weight") in header.tensors
    assert header.tensor("nothing") is None
    assert list(header.strings("tokenizer.ggml.tokens"))[-1] == "<|assistant|>"
    assert len(header.strings("nothing")) == 0
    hybrid = read_header(lfm2_gguf(tmp_path / "hybrid.gguf"))
    assert hybrid.per_layer(".attention.head_count_kv") == (0, 2, 0, 2)


@pytest.mark.parametrize(
    ("getter", "key"),
    [
        (GgufHeader.integer, "general.name"),
        (GgufHeader.text, ".block_count"),
        (GgufHeader.strings, ".block_count"),
        (GgufHeader.per_layer, "general.name"),
        (GgufHeader.per_layer, "tokenizer.ggml.token_type"),
    ],
)
def test_a_value_of_another_type_is_refused(path: Path, getter: object, key: str) -> None:
    with pytest.raises(ModelFileError, match=key):
        getter(read_header(path), key)  # type: ignore[operator]


def test_hybrids_are_accepted(tmp_path: Path) -> None:
    assert read_header(lfm2_gguf(tmp_path / "a.gguf")).architecture == "lfm2"
    assert read_header(jamba_gguf(tmp_path / "b.gguf")).architecture == "jamba"


def test_a_large_vocabulary_costs_little(tmp_path: Path) -> None:
    path = llama_gguf(tmp_path / "large.gguf", n_layer=1, d=32, heads=1, kv_heads=1, vocab=150_000)
    start = process_time()
    header = read_header(path)
    assert process_time() - start < 0.5
    assert len(header.strings("tokenizer.ggml.tokens")) == 150_000


def test_a_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in unavailable(tmp_path / "missing.gguf")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in unavailable(tmp_path)


def test_an_unreadable_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in unavailable(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"garbage" * 1000, "it starts with b'garbageg'"),
        (b"GG", "it starts with b'GG'"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(64), "version 1"),
        (b"GGUF" + struct.pack("<I", 4) + bytes(64), "version 4"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "architecture"),
        (b"GGUF\x03", "cut short"),
    ],
)
def test_what_is_no_gguf(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    assert expected in refused(path)


def test_every_truncation_is_found(path: Path) -> None:
    data = path.read_bytes()
    end_of_header = read_header(path).tensors[0].offset
    for length in [*range(0, end_of_header, 97), end_of_header, len(data) // 2, len(data) - 32]:
        path.write_bytes(data[:length])
        refused(path)


@pytest.mark.parametrize(
    ("key", "change", "expected"),
    [
        ("general.architecture", Patch(-28, "Q", 1 << 63), "bytes of a key"),
        ("general.architecture", Patch(4, "Q", 1 << 62), "bytes of text"),
        ("general.architecture", Patch(4, "Q", 1 << 20), "more than the rest"),
        ("general.architecture", Patch(0, "I", 13), "no value type has the number 13"),
        ("general.architecture", Patch(0, "I", 9), "damaged"),
        ("general.architecture", Patch(-28, "Q", 0), "empty or not UTF-8"),
        ("general.architecture", Patch(-20, "B", 255), "empty or not UTF-8"),
        ("tokenizer.ggml.tokens", Patch(4, "I", 9), "an array of arrays"),
        ("tokenizer.ggml.tokens", Patch(8, "Q", 1 << 40), "strings"),
        ("tokenizer.ggml.tokens", Patch(16, "Q", 1 << 61), "cut short"),
        ("tokenizer.ggml.token_type", Patch(8, "Q", 1 << 50), "numbers"),
        ("tokenizer.ggml.add_bos_token", Patch(4, "B", 2), "a bool is neither"),
        ("output_norm.weight", Patch(0, "I", 5), "5 dimensions"),
        ("output_norm.weight", Patch(4, "Q", 0), "shape"),
        ("output_norm.weight", Patch(4, "Q", 1 << 62), "cut short"),
        ("output_norm.weight", Patch(12, "I", 4), "type 4, which ggml does not know"),
        ("output_norm.weight", Patch(12, "I", 99), "type 99, which ggml does not know"),
        ("output_norm.weight", Patch(12, "I", 12), "impossible for Q4_K"),
        ("output_norm.weight", Patch(16, "Q", 0), "starts at 0"),
        ("output_norm.weight", Patch(16, "Q", 81921), "starts at 81921"),
    ],
)
def test_damage_is_found(path: Path, key: str, change: Patch, expected: str) -> None:
    change.apply(path, key)
    assert expected in refused(path)


@pytest.mark.parametrize(("at", "expected"), [(8, "tensors"), (16, "keys")])
def test_absurd_counts_are_refused(path: Path, at: int, expected: str) -> None:
    data = path.read_bytes()
    for count in (1 << 15, 1 << 40, (1 << 64) - 1):
        path.write_bytes(data[:at] + struct.pack("<Q", count) + data[at + 8 :])
        assert expected in refused(path)


@pytest.mark.parametrize("alignment", [0, 3, 48])
def test_an_impossible_alignment(tmp_path: Path, alignment: int) -> None:
    path = tmp_path / "file.gguf"
    llama_gguf(path, extra=lambda writer: writer.add_uint32("general.alignment", alignment))
    assert "alignment" in refused(path)


def test_another_alignment(tmp_path: Path) -> None:
    path = llama_gguf(tmp_path / "file.gguf", extra=lambda w: w.add_custom_alignment(256))
    assert all(tensor.offset % 256 == 0 for tensor in read_header(path).tensors)


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "file.gguf"
    llama_gguf(path, extra=lambda w: [w.add_bool(key, True) for key in ("x.a", "x.b")])
    path.write_bytes(path.read_bytes().replace(b"x.b", b"x.a"))
    assert "'x.a' is there twice" in refused(path)


def test_a_tensor_that_is_there_twice(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"blk.1.", b"blk.0."))
    assert "same name" in refused(path)


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    llama_gguf(tmp_path / "model.gguf", split=8)
    return sorted(tmp_path.glob("model-*.gguf"))


def test_a_split_model_is_one_header(parts: list[Path], path: Path) -> None:
    header, whole = read_header(parts[0]), read_header(path)
    assert header.shards == tuple(parts)
    assert len(parts) == 3
    assert [tensor.name for tensor in header.tensors] == [tensor.name for tensor in whole.tensors]
    assert header.size == sum(part.stat().st_size for part in parts)


def test_a_missing_part(parts: list[Path]) -> None:
    parts[1].unlink()
    message = unavailable(parts[0])
    assert "1 more of 3 parts" in message
    assert parts[1].name in message


def test_a_later_part(parts: list[Path]) -> None:
    assert str(parts[0]) in unavailable(parts[1])


def test_a_renamed_part(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("model.gguf"))
    assert "one of 3 parts" in refused(renamed)


def test_a_truncated_part(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[2].read_bytes()[:-32])
    assert parts[2].name in refused(parts[0])


def test_parts_in_the_wrong_order(parts: list[Path]) -> None:
    first, second = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(second)
    parts[2].write_bytes(first)
    assert "not its part 2" in refused(parts[0])


def test_a_part_of_another_model(parts: list[Path]) -> None:
    Patch(4, "i", 21).apply(parts[0], "split.tensors.count")
    assert "tensors it announces" in refused(parts[0])


def test_a_part_whose_number_has_another_type(parts: list[Path]) -> None:
    Patch(0, "I", 3).apply(parts[1], "split.no")
    assert "not its part 2" in refused(parts[0])
