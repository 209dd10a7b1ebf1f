"""CSV and Parquet: what their cells mean, and where in the file a fault is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgespec.batch.formats import Format, FormatName, open_rows
from edgespec.batch.rows import Row, Settings
from edgespec.batch.source import Source
from edgespec.batch.strict_json import Fault
from edgespec.chat import Message, Role
from edgespec.errors import InvalidInput

Open = Callable[..., tuple[Source, Format]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens a file of that content, and closes it in the end."""
    sources: list[Source] = []

    def open_(text: str | bytes, name: str = "in.csv") -> tuple[Source, Format]:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        source, form = open_rows(str(path), None)
        sources.append(source)
        return source, form

    yield open_
    for source in sources:
        source.close()


def rows(source: Source, form: Format) -> list[Row]:
    return [form.read(source.read(number), Settings()) for number in range(len(source))]


def fault(source: Source, form: Format, number: int) -> tuple[int, int | None, str]:
    with pytest.raises(Fault) as caught:
        form.read(source.read(number), Settings())
    return source.line(number), caught.value.column, caught.value.message


def test_cells_are_what_their_columns_need(opened: Open) -> None:
    source, form = opened(
        "\ufeffid,prompt,temperature,max_tokens,stop,json_schema\r\n"
        '7,"12, and\nso on",0.5,3,"[""a"",""b""]","{""type"": ""object""}"\r\n'
        "\r\n"
        "x,123,,,end,\r\n",
    )
    first, second = rows(source, form)
    assert (first.id, first.prompt) == ("7", "12, and\nso on")
    assert first.settings.sampling.temperature == 0.5
    assert (first.settings.max_tokens, first.settings.stop) == (3, ("a", "b"))
    assert first.settings.json_schema == '{"type": "object"}'
    assert (second.id, second.prompt, second.settings.stop) == ("x", "123", ("end",))
    assert second.settings.max_tokens is None
    assert [source.line(number) for number in range(2)] == [2, 5]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_any_usual_delimiter_will_do(opened: Open, mark: str) -> None:
    source, form = opened(f"prompt{mark}seed\na{mark}3\n", "in.tsv")
    assert form.name is FormatName.CSV
    assert [(row.prompt, row.settings.sampling.seed) for row in rows(source, form)] == [("a", 3)]


def test_a_row_that_is_wrong_is_told_with_its_line_and_column(opened: Open) -> None:
    source, form = opened(
        b'prompt,temperature,n\na,hot,1\na,1\n"a\n\xff",1,1\n"a"b,1,1\n,1,1\nfine,1,1\na,1,999\n',
    )
    assert fault(source, form, 0) == (2, 2, "temperature must be a number, it is a string")
    assert fault(source, form, 1) == (3, 3, "the row has 2 cells, the first line has 3")
    assert fault(source, form, 2) == (4, 1, "this is not UTF-8 text")
    assert fault(source, form, 3)[:2] == (6, 1)
    assert fault(source, form, 4) == (7, 1, "the row has no prompt and no messages")
    assert form.read(source.read(5), Settings()).prompt == "fine"
    assert fault(source, form, 6)[:2] == (9, 3)


def test_columns_that_mean_nothing_are_told(opened: Open) -> None:
    source, form = opened("topic,prompt,promt\na,b,c\n")
    assert form.note.endswith("in.csv that are not used: topic, promt")
    assert rows(source, form)[0].prompt == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,answer\na,b\n", "no column called prompt or messages; it has question, answer"),
        ("", "it has none"),
        ("prompt,prompt\na,b\n", "two columns called prompt"),
    ],
)
def test_what_is_no_table_of_prompts_is_refused(opened: Open, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        opened(text)


def test_parquet_has_values_of_its_own(opened: Open) -> None:
    turns = [{"role": "user", "content": "Hi", "name": None}]
    columns: dict[str, list[Any]] = {
        "id": [1, 2],
        "other": [b"x", b"y"],
        "messages": [turns, None],
        "prompt": [None, "Hello"],
        "top_p": [0.5, 9.5],
    }
    data = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), data)
    source, form = opened(data.getvalue().to_pybytes(), "in.parquet")
    row = form.read(source.read(0), Settings())
    assert (row.id, row.messages) == (1, (Message(Role.USER, "Hi"),))
    assert fault(source, form, 1)[:2] == (2, 5)
    assert form.note.endswith("not used: other")


def test_what_is_no_parquet_is_refused(opened: Open) -> None:
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        opened("prompt\na\n", "in.parquet")
