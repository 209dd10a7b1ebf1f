"""Rows: what they may say, and where it is told if they say anything else."""

import json
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest

from edgespec.batch.formats import FORMATS, FormatName, detect
from edgespec.batch.rows import Row, Settings
from edgespec.batch.source import open_source
from edgespec.batch.strict_json import Fault
from edgespec.chat import Message, Role
from edgespec.errors import InvalidInput
from edgespec.sampling.params import SamplingParams

DEFAULTS = Settings(SamplingParams(temperature=0.3, seed=9), 50, ("END",), system="Be brief.")


def native(data: dict[str, Any], settings: Settings = DEFAULTS) -> Row:
    return FORMATS[FormatName.JSONL].read(json.dumps(data).encode(), settings)


def openai(data: dict[str, Any], **body: Any) -> Row:
    request = {"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", **data}
    request["body"] = {"model": "gpt-4o", **body}
    return FORMATS[FormatName.OPENAI].read(json.dumps(request).encode(), DEFAULTS)


HELLO = [{"role": "user", "content": "Hello"}]


def test_a_row_with_a_prompt_alone_has_the_settings_of_the_command_line() -> None:
    row = native({"prompt": "Hi"})
    assert row == Row(None, DEFAULTS, "Hi", (), row.places)


def test_a_row_has_settings_of_its_own() -> None:
    row = native(
        {
            "id": 17,
            "prompt": "Hi",
            "system": "Be long.",
            "temperature": 1,
            "top_k": 5,
            "top_p": 0.5,
            "min_p": 0.1,
            "typical_p": 0.9,
            "repeat_penalty": 1.1,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "penalty_window": 10,
            "seed": 2**63,
            "logit_bias": {"3": -1.5, "4": -100},
            "max_tokens": 3,
            "stop": "x",
            "n": 4,
        }
    )
    settings = row.settings
    assert row.id == 17
    assert settings.sampling == SamplingParams(
        1.0, 5, 0.5, 0.1, 0.9, 1.1, 0.1, 0.2, 10, {3: -1.5, 4: -inf}, None, 2**63
    )
    assert (settings.max_tokens, settings.stop, settings.samples) == (3, ("x",), 4)
    assert settings.system == "Be long."


def test_null_is_the_same_as_absent() -> None:
    assert native({"prompt": "Hi", "seed": None, "stop": None}) == native({"prompt": "Hi"})


def test_a_schema_can_be_an_object_or_text_and_takes_the_grammars_place() -> None:
    shaped = DEFAULTS.shaped("root ::= [a]", None)
    for schema in ({"type": "object"}, '{"type": "object"}'):
        settings = native({"prompt": "Hi", "json_schema": schema}, shaped).settings
        assert settings.json_schema == '{"type": "object"}'
        assert settings.sampling.grammar is None


def test_messages_can_be_in_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    row = native({"messages": [{"role": "developer", "content": parts}, *HELLO]})
    assert row.messages == (Message(Role.SYSTEM, "ab"), Message(Role.USER, "Hello"))


@pytest.mark.parametrize(
    ("data", "at", "message"),
    [
        ({}, 1, "no prompt and no messages"),
        ({"prompt": ""}, 12, "empty"),
        ({"prompt": 3}, 12, "must be a string, it is a whole number"),
        ({"promt": "x"}, 11, "did you mean 'prompt'?"),
        ({"prompt": "x", "messages": HELLO}, 29, "exclude each other"),
        ({"messages": HELLO, "system": "x"}, 64, "one of them"),
        ({"messages": []}, 14, "empty"),
        ({"messages": ["x"]}, 15, "objects"),
        ({"messages": [{"role": "user"}]}, 15, "content is missing"),
        ({"messages": [{"role": "robot", "content": ""}]}, 24, "role is 'robot'"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 44, "type text"),
        ({"prompt": "x", "temperature": "hot"}, 32, "must be a number, it is a string"),
        ({"prompt": "x", "temperature": 101}, 32, "out of range"),
        ({"prompt": "x", "temperature": True}, 32, "it is true or false"),
        ({"prompt": "x", "top_k": 1.5}, 26, "whole number"),
        ({"prompt": "x", "seed": -1}, 25, "it must be 0 to"),
        ({"prompt": "x", "n": 0}, 22, "it must be 1 to 256"),
        ({"prompt": "x", "stop": ["a", 1]}, 31, "strings"),
        ({"prompt": "x", "logit_bias": {"a": 1}}, 37, "no token id"),
        ({"prompt": "x", "logit_bias": {"1": "a"}}, 37, "must be a number"),
        ({"prompt": "x", "grammar": "a", "json_schema": {}}, 48, "exclude each other"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(data: dict[str, Any], at: int, message: str) -> None:
    with pytest.raises(Fault) as caught:
        native(data)
    assert message in caught.value.message
    assert caught.value.column == at


def test_messages_need_a_template() -> None:
    with pytest.raises(Fault, match="--raw"):
        native({"messages": HELLO}, Settings(raw=True))


def test_openais_requests_are_rows() -> None:
    row = openai(
        {},
        messages=HELLO,
        max_completion_tokens=7,
        max_tokens=9,
        n=2,
        seed=3,
        temperature=0,
        stop=["a", "b"],
        user="me",
        stream=False,
        logprobs=False,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    )
    assert row.id == "r1"
    assert row.messages == (Message(Role.USER, "Hello"),)
    assert not row.completion
    settings = row.settings
    assert (settings.max_tokens, settings.samples, settings.stop) == (7, 2, ("a", "b"))
    assert (settings.sampling.seed, settings.sampling.temperature) == (3, 0)
    assert settings.json_schema == "{}"


def test_openais_completions_continue_their_prompt() -> None:
    row = openai({"url": "/v1/completions"}, prompt="Once")
    assert (row.prompt, row.settings.raw, row.completion) == ("Once", True, True)


def test_openais_best_of_draws_more_than_it_keeps() -> None:
    row = openai({"url": "/v1/completions"}, prompt="Once", n=2, best_of=5)
    assert (row.settings.samples, row.settings.kept) == (5, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: openai({"url": "/v1/completions"}, prompt="x", n=3, best_of=2), "at least n, 3"),
        (lambda: openai({}, messages=HELLO, best_of=2), "'best_of' is not known"),
        (lambda: openai({"url": "/v1/embeddings"}, input="x"), "url must be"),
        (lambda: openai({"method": "GET"}, messages=HELLO), "POST"),
        (lambda: openai({"custom_id": None}, messages=HELLO), "custom_id is missing"),
        (lambda: openai({}, messages=HELLO, stream=True), "stream is not possible"),
        (lambda: openai({}, messages=HELLO, tools=[{}]), "tools is not possible"),
        (lambda: openai({}, messages=HELLO, max_token=1), "did you mean 'max_tokens'?"),
        (lambda: openai({}, messages=HELLO, response_format={"type": "x"}), "type must be"),
        (lambda: openai({}), "messages is missing"),
        (lambda: openai({"url": "/v1/completions"}), "prompt is missing"),
        (lambda: native({"custom_id": "x", "prompt": "y"}), "'custom_id' is not known"),
    ],
)
def test_what_cannot_be_honoured_is_refused(make: Callable[[], Row], message: str) -> None:
    with pytest.raises(Fault, match=message) as caught:
        make()
    assert caught.value.column


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", '{"prompt": "x"}', "text"),
        ("a", "Hello\n", "text"),
        ("a", '{"prompt": "x"}', "jsonl"),
        ("a.jsonl", "", "jsonl"),
        ("a.jsonl", "broken\n" + '{"custom_id": "x", "body": {}}\n', "openai"),
        ("a.ndjson", '\n\n{"prompt": "x"}', "jsonl"),
    ],
)
def test_the_format_is_found_out(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_text(text)
    source = open_source(str(tmp_path / name))
    assert detect(source).name == expected
    source.close()


def test_a_json_array_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"prompt": "x"}]')
    source = open_source(str(tmp_path / "a.json"))
    with pytest.raises(InvalidInput, match="jq -c"):
        detect(source)
    source.close()
