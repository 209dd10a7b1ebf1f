from dataclasses import replace
from pathlib import Path

import pytest

from edgespec import config, typed
from edgespec.config import Settings
from edgespec.errors import InvalidInput
from edgespec.preferences import Preferences, concern_model

SHORT = Settings(temperature=0.5, seed=3, presets={"short": {"max_tokens": 3, "temperature": 0.0}})


def test_a_preset_lies_over_the_settings() -> None:
    preferences = Preferences(SHORT, None)
    preferences.use_preset("short")
    request = preferences.request()
    assert (request.max_tokens, request.sampling.temperature) == (3, 0)
    preferences.change(temperature=0.9)
    assert preferences.request().sampling.temperature == 0.9
    assert preferences.request().max_tokens == 3
    preferences.use_preset("")
    assert preferences.request().max_tokens is None
    with pytest.raises(InvalidInput, match="no preset 'long'"):
        preferences.use_preset("long")


def test_only_what_is_changed_goes_into_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    preferences = Preferences(replace(SHORT, top_k=7), file)
    preferences.change(max_tokens=9)
    assert config.load(file) == Settings(max_tokens=9)
    assert preferences.settings.top_k == 7
    with pytest.raises(InvalidInput):
        preferences.change(top_p=2.0)
    assert preferences.settings.top_p == Settings().top_p


def test_without_a_seed_one_is_drawn_and_kept() -> None:
    preferences = Preferences(Settings(), None)
    drawn = preferences.request().sampling.seed
    assert preferences.request().sampling.seed == drawn
    preferences.change(seed=5)
    assert preferences.request().sampling.seed == 5


def test_which_settings_load_the_model_again() -> None:
    assert concern_model({"context": 512, "theme": ""})
    assert not concern_model({"temperature": 0.0})


def test_a_preset_can_be_written_into_the_file_while_one_chats(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    preferences = Preferences(SHORT, file)
    file.write_text("[presets.exact]\ntemperature = 0\n")
    assert preferences.use_preset("exact") == {"temperature": 0.0}
    assert preferences.use_preset("short")
    file.write_text("[presets.exact]\ntemperature = 'hot'\n")
    with pytest.raises(InvalidInput, match="line 2"):
        preferences.use_preset("exact")


def test_a_preset_is_written_and_removed_as_it_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        "[presets.other]\n# mine\ntop_k = 3 # few\ntop_p = 0.5\n\n[answer]\ntop_k = 5\n"
    )
    preferences = Preferences(config.load(file), file)
    chosen = preferences.use_preset('exact: top_k = 1, system = "Say \\"no\\"."')
    assert (chosen, preferences.used) == ({"top_k": 1, "system": 'Say "no".'}, "exact")
    assert config.load(file).presets["exact"] == chosen
    assert preferences.use_preset(f"other: {typed.spell({'top_k': 4})}") == {"top_k": 4}
    assert "[presets.other]\n# mine\ntop_k = 4 # few\n\n" in file.read_text()
    assert preferences.use_preset("exact:") == {}
    assert preferences.used == ""
    assert config.load(file) == Settings(top_k=5, presets={"other": {"top_k": 4}})
    for wrong in ("none:", ": top_k = 1", "x: top_k", "x: seed = 'one'", "x: theme = 'x'"):
        with pytest.raises(InvalidInput):
            preferences.use_preset(wrong)
    assert list(config.load(file).presets) == ["other"]


def test_what_is_changed_of_the_preset_in_use_counts_at_once() -> None:
    preferences = Preferences(SHORT, None)
    preferences.use_preset("short")
    preferences.change(presets={"short": {"max_tokens": 4}})
    assert preferences.request().max_tokens == 4
    preferences.change(presets={"short": {}})
    assert preferences.request().max_tokens is None
