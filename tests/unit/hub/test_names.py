from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespec.errors import InvalidInput
from edgespec.hub.names import Wish, is_file, is_repository, parse, shown


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("hf:a/b", Wish("a/b")),
        ("hf:a/b:Q4_K_M", Wish("a/b", None, "Q4_K_M")),
        ("hf:Qw-n/m.1_x-GGUF@v1.0:UD-Q4_K_XL", Wish("Qw-n/m.1_x-GGUF", "v1.0", "UD-Q4_K_XL")),
        ("hf:a/b@refs/pr/3", Wish("a/b", "refs/pr/3")),
        ("hf:a/b:dir/x.gguf", Wish("a/b", None, "dir/x.gguf")),
    ],
)
def test_what_can_be_asked_for(text: str, wish: Wish) -> None:
    assert parse(text) == wish


@pytest.mark.parametrize(
    "text",
    [
        "hf:",
        "hf:a",
        "hf:../b",
        "hf:a/..",
        "hf:a/b/c",
        "hf:a/b@..",
        "hf:a/b\n",
        "hf:/b",
        "hf:a/-b",
    ],
)
def test_what_cannot(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a model of the Hub; write hf:owner/repository"):
        parse(text)


def test_a_forgotten_prefix() -> None:
    with pytest.raises(InvalidInput, match="did you mean hf:a/b:Q4_0"):
        parse("a/b:Q4_0")


@pytest.mark.parametrize("path", ["a.gguf", "Q4/a-00001-of-00002.gguf", "a (1), b=c+d.gguf", "_a"])
def test_names_that_can_be_files(path: str) -> None:
    assert is_file(path)


@pytest.mark.parametrize(
    "path",
    [
        "../a.gguf",
        "a/../b.gguf",
        "/etc/passwd",
        "a//b.gguf",
        "a\0.gguf",
        "a\x1b[2J.gguf",
        "a\n.gguf",
        "a\\b.gguf",
        "C:a.gguf",
        "con.gguf",
        "LPT1",
        "a.",
        " a.gguf",
        "é.gguf",
        "a" * 300,
        "a/b/c/d/e.gguf",
        "",
        ".",
        ".hidden.gguf",
        "~a.gguf",
    ],
)
def test_names_that_cannot(path: str) -> None:
    assert not is_file(path)


@given(st.text(alphabet="ab./\\:~ \0\n\x1b-_C", max_size=20))
def test_no_name_leads_out_of_its_folder(path: str) -> None:
    if is_file(path) or is_repository(path):
        folder = Path("/somewhere/models")
        assert folder.joinpath(*path.split("/")).resolve().is_relative_to(folder)
        assert path.isprintable()


@given(st.text())
def test_what_is_shown_drives_no_terminal(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 80
