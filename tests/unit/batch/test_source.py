"""The lines of an input that count, wherever they stand."""

from hashlib import sha256
from pathlib import Path

import pytest

from edgespec.batch import source as source_module
from edgespec.batch.source import Source, open_source
from edgespec.batch.strict_json import Fault
from edgespec.errors import InvalidInput


def opened(tmp_path: Path, data: bytes) -> Source:
    path = tmp_path / "in"
    path.write_bytes(data)
    return open_source(str(path))


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", []),
        (b"\n \n\r\n", []),
        (b"a", [(1, b"a")]),
        (b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"\n\na\r\n\n b \n", [(3, b"a"), (5, b" b ")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
        (b"\xef\xbb\xbf\na", [(2, b"a")]),
    ],
)
def test_rows_are_lines_that_hold_anything(
    tmp_path: Path, data: bytes, rows: list[tuple[int, bytes]]
) -> None:
    source = opened(tmp_path, data)
    assert [(source.line(row), source.read(row)) for row in range(len(source))] == rows
    assert [source.weight(row) for row in range(len(source))] == [len(text) for _, text in rows]
    assert (source.size, source.digest) == (len(data), sha256(data).hexdigest())
    source.close()


def test_a_line_beyond_all_measure_is_one_row_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "MAX_LINE", 10)
    source = opened(tmp_path, b"short\n" + b"x" * 35 + b"\nend\n")
    assert [source.line(row) for row in range(3)] == [1, 2, 3]
    with pytest.raises(Fault, match="35 bytes"):
        source.read(1)
    assert source.read(2) == b"end"
    source.close()


def test_a_change_under_way_is_noticed(tmp_path: Path) -> None:
    source = opened(tmp_path, b"a\nb\n")
    (tmp_path / "in").write_bytes(b"a\nbb\n")
    with pytest.raises(InvalidInput, match="changed"):
        source.read(1)
    source.close()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        open_source(str(tmp_path / "none"))


def test_the_digest_of_a_beginning(tmp_path: Path) -> None:
    source = opened(tmp_path, b"abcdef")
    assert source.digest_of(3) == sha256(b"abc").hexdigest()
    source.close()
