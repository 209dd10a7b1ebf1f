import os
from pathlib import Path

import pytest

from edgespec import catalog
from edgespec.catalog import Pair, resolve
from edgespec.errors import ExitCode, InvalidInput, ModelUnavailable

PACKAGE = Path(catalog.__file__).parent
PAIR = """
[pairs.nano]
description = "a toy"
licence = "Apache-2.0"
context = 2048
target = "nano/target.gguf"
drafter = "nano/drafter.gguf"
"""
VALID = f'default = "nano"{PAIR}'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of edgespec with a catalogue and the files in it."""
    folder = tmp_path / "checkout/edgespec"
    (folder / "nano").mkdir(parents=True)
    (folder / "nano/target.gguf").write_bytes(b"123")
    (folder / "nano/drafter.gguf").write_bytes(b"4")
    (folder / "models.toml").write_text(VALID)
    monkeypatch.setattr(catalog, "_PACKAGE", folder)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of the user's with three models, one of them split."""
    folder = tmp_path / "models"
    folder.mkdir()
    names = ("one.gguf", "two-00001-of-00002.gguf", "two-00002-of-00002.gguf", "notes.txt")
    for name in names:
        (folder / name).touch()
    return folder


def unavailable(model: str | None, drafter: str | None = None) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        resolve(model, drafter)
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    return str(caught.value)


def test_the_catalogue_of_this_edgespec() -> None:
    nano = catalog.load().entries["nano"]
    assert catalog.load().default == "nano"
    assert "toy" in nano.description
    assert nano.present
    assert nano.size == sum(file.stat().st_size for file in (nano.target, nano.drafter))


def test_the_catalogue_lies_in_the_package_or_beside_it(package: Path) -> None:
    assert catalog.entries()[0].target == package / "nano/target.gguf"
    (package / "models.toml").rename(package.parent / "models.toml")
    assert catalog.entries()[0].target == package / "nano/target.gguf"


@pytest.mark.parametrize("model", [None, "nano"])
def test_a_name_of_the_catalogue(package: Path, model: str | None) -> None:
    target, drafter = package / "nano/target.gguf", package / "nano/drafter.gguf"
    assert resolve(model) == Pair("nano", target, drafter)
    assert resolve(model, speculate=False) == Pair("nano", target, None)
    assert resolve(model, str(target)) == Pair("nano", target, target)


def test_a_folder_does_not_hide_a_name(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package)
    assert resolve("nano").target == package / "nano/target.gguf"


def test_a_path(package: Path, models: Path) -> None:
    one = models / "one.gguf"
    assert resolve(str(one)) == Pair("one", one, None)
    assert resolve(str(one), "nano") == Pair("one", one, package / "nano/drafter.gguf")
    assert resolve(str(one), str(one)) == Pair("one", one, one)
    assert resolve(str(one), "missing", speculate=False) == Pair("one", one, None)


def test_a_path_in_this_folder_or_at_home(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)
    assert resolve("one.gguf").target == Path("one.gguf")
    monkeypatch.setenv("HOME", str(models))
    monkeypatch.setenv("USERPROFILE", str(models))
    assert resolve("~/one.gguf").target == models / "one.gguf"


def test_a_folder_with_one_model(models: Path) -> None:
    (models / "one.gguf").unlink()
    assert resolve(str(models)).target == models / "two-00001-of-00002.gguf"


def test_a_folder_with_several_models(models: Path) -> None:
    message = unavailable(str(models))
    assert "holds 2 models; name one: one.gguf, two-00001-of-00002.gguf" in message


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "holds no .gguf file" in unavailable(str(tmp_path))


@pytest.mark.parametrize("path", ["missing.gguf", "some/model", os.path.join("~no-such-user", "x")])
def test_a_missing_file(path: str) -> None:
    assert f"{Path(path)} does not exist" in unavailable(path)
    assert f"{Path(path)} does not exist" in unavailable(None, path)


def test_an_unknown_name() -> None:
    message = unavailable("nanno")
    assert message == "there is no model 'nanno'; did you mean nano? see edgespec models list"
    assert "did you mean" not in unavailable("qwen")
    assert "x" * 300 in unavailable("x" * 300)


def test_a_file_that_should_have_been_installed(package: Path) -> None:
    (package / "nano/drafter.gguf").unlink()
    assert "drafter.gguf is missing; reinstall edgespec" in unavailable("nano")
    assert resolve("nano", speculate=False).target.is_file()
    assert not catalog.entries()[0].present
    assert catalog.entries()[0].size == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default = ", "cannot be read"),
        ("pairs = {}", "default is missing"),
        ("default = 3\npairs = {}", "default is not of type str"),
        ('default = "x"\npairs = {}', "default: there is no pair 'x'"),
        ('default = "x"\npairs = {x = 1}', "pairs.x is not a table"),
        (VALID.replace("licence", "license"), "did you mean licence?"),
        (VALID.replace("licence", "xyz"), "pairs.nano.xyz is not a known key; known keys: desc"),
        (VALID.replace("context = 2048", "context = true"), "pairs.nano.context is not of type"),
        (VALID.replace('drafter = "nano/drafter.gguf"', ""), "pairs.nano.drafter is missing"),
        (VALID.replace("nano/target", "/nano/target"), "pairs.nano.target is not a .gguf file"),
        (VALID.replace("nano/target", "../target"), "pairs.nano.target is not a .gguf file"),
        (VALID.replace("target.gguf", "target.bin"), "pairs.nano.target is not a .gguf file"),
    ],
)
def test_a_broken_catalogue_names_the_file_and_the_key(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        catalog.load(file)
    assert str(caught.value).startswith(str(file))
    assert expected in str(caught.value)


def test_an_unreadable_catalogue(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        catalog.load(tmp_path / "missing.toml")
