import re
from pathlib import Path

import pytest

from edgespec import config, typed
from edgespec.config import FIELDS, Settings
from edgespec.errors import InvalidInput
from edgespec.sampling.params import SamplingParams


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.toml"


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_without_a_file_all_is_as_usual(file: Path) -> None:
    assert config.load(file) == Settings()


def test_sampling_is_as_the_command_line_has_it() -> None:
    usual = SamplingParams()
    for name in ("temperature", "top_k", "top_p", "min_p", "repeat_penalty"):
        assert getattr(Settings(), name) == getattr(usual, name)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p", "min_p", "repeat_penalty"])
def test_the_ends_of_a_range_can_be_sampled_with(name: str) -> None:
    ends = FIELDS[name].metadata
    for value in (ends["least"], ends["most"]):
        SamplingParams(**{name: value})


def test_a_file_is_read(file: Path) -> None:
    text = '[model]\nmodel = "big.gguf"\n[answer]\ntemperature = 0\n[keys]\nnew = "f9"\n'
    settings = config.load(written(file, text))
    assert (settings.model, settings.temperature, settings.keys) == ("big.gguf", 0.0, {"new": "f9"})
    assert isinstance(settings.temperature, float)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[answer]\n\ntemperature = 500\n", "line 3: answer.temperature is 500; it must be betw"),
        ("[answer]\ntop_k = 1.5\n", "line 2: answer.top_k is 1.5; it must be a whole number"),
        ("[answer]\ntop_k = true\n", "line 2: answer.top_k is True; it must be a whole number"),
        ("[look]\nsources = 1\n", "line 2: look.sources is 1; it must be true or false"),
        ("# a\n[model]\nmodle = 'x'\n", "line 3: model.modle is not a setting; did you mean model"),
        ("[model]\n[anwser]\n", "line 2: anwser is not a section; did you mean answer?"),
        ("temperature = 1\n", "line 1: temperature is not a section; known are answer, keys"),
        ("[keys]\nnew = 3\n", 'line 2: keys.new is not text; as in "ctrl+r"'),
        ("[presets.x]\ntheme = 'a'", "line 2: presets.x.theme is not a setting; known are max_t"),
        ("\n[presets.x]\ntop_p = 7", "line 3: presets.x.top_p is 7; it must be between"),
        ("[presets]\nx = 7", "line 2: presets.x is no section; write [presets.x]"),
        ("[look]\nrefresh = 0", "line 2: look.refresh is 0; it must be between 1 and 60"),
        ("[look]\nrefresh = nan", "line 2: look.refresh is nan; it must be a whole number"),
        ("[answer]\ntemperature = nan", "line 2: answer.temperature is nan"),
        (
            "[answer\n",
            "at the end of a table declaration (at line 1, column",
        ),
    ],
)
def test_an_error_names_its_line(file: Path, text: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(what)):
        config.load(written(file, text))


def test_presets_are_read(file: Path) -> None:
    text = '[presets.exact]\ntemperature = 0\nsystem = "Be exact."\n[presets.free]\n'
    settings = config.load(written(file, text))
    assert settings.presets == {
        "exact": {"temperature": 0.0, "system": "Be exact."},
        "free": {},
    }


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        config.load(file)


def test_what_is_saved_is_read_again(file: Path) -> None:
    settings = config.save(file, Settings(), temperature=0.5, system='Say "hi".\n\\o/', refresh=4)
    assert config.load(file) == settings
    assert settings.temperature == 0.5
    settings = config.save(file, settings, temperature=0.25)
    assert config.load(file) == settings
    assert file.read_text().count("temperature") == 1


def test_saving_keeps_what_the_user_wrote(file: Path) -> None:
    mine = "# mine\n[answer] # here\ntop_k = 7 # lucky\n\n[look]\n"
    config.save(written(file, mine), config.load(file), top_k=8, min_p=0.1)
    text = file.read_text()
    assert "# mine\n[answer] # here\ntop_k = 8 # lucky\n" in text
    assert f"# {FIELDS['min_p'].metadata['text']}\nmin_p = 0.1\n" in text


def test_a_new_file_explains_itself(file: Path) -> None:
    config.save(file, Settings(), model="big.gguf")
    assert file.read_text() == (
        f'# {config.HEADER}\n\n[model]\n# {FIELDS["model"].metadata["text"]}\nmodel = "big.gguf"\n'
    )


def test_a_wrong_value_is_not_saved(file: Path) -> None:
    with pytest.raises(InvalidInput, match="between"):
        config.save(file, Settings(), top_p=2.0)
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", " 1 ", 1.0),
        ("top_k", "0", 0),
        ("speculate", "FALSE", False),
        ("system", " two words ", " two words "),
    ],
)
def test_what_is_typed_becomes_a_value(name: str, text: str, value: object) -> None:
    assert typed.parse(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"), [("temperature", "hot"), ("top_k", "1.5"), ("speculate", "1"), ("seed", "")]
)
def test_what_is_typed_wrongly_is_explained(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match="it must be"):
        typed.parse(name, text)


@pytest.mark.parametrize(
    "text",
    [
        "[presets.a]\ntop_k = 1\n\n[model]\ncontext = 5\n\n[presets.b]\ntop_k = 2\n",
        "[presets]\na = {top_k = 1}\nb.top_k = 2\n",
        "presets = {a = {top_k = 1}, b = {top_k = 2}}\n",
    ],
)
def test_presets_can_be_written_in_any_way(file: Path, text: str) -> None:
    settings = config.load(written(file, text))
    changes = {"a": {"top_k": 3, "top_p": 0.5}, "b": {}, "c": {"system": "x"}}
    config.save(file, settings, presets=changes)
    assert config.load(file).presets == {"a": changes["a"], "c": changes["c"]}
    assert config.load(file).context == settings.context
