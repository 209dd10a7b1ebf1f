import os
from pathlib import Path

import pytest

from edgespec import catalog, catalog_file
from edgespec.catalog import Pair, resolve
from edgespec.errors import ExitCode, InvalidInput, ModelUnavailable
from edgespec.library import Installed, InstalledFile, Library

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
    assert nano.size == sum(file.stat().st_size for file in nano.files)
    assert len(nano.files) == 2


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


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model_q4.onnx"])
def test_a_folder_with_one_onnx_graph(tmp_path: Path, place: str) -> None:
    graph = tmp_path / place
    graph.parent.mkdir(exist_ok=True)
    graph.touch()
    assert resolve(str(tmp_path)).target == graph


def test_a_folder_with_several_onnx_graphs(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    for name in ("model.onnx", "model_q4.onnx", "model.onnx_data"):
        (tmp_path / "onnx" / name).touch()
    message = unavailable(str(tmp_path))
    names = [str(Path("onnx", name)) for name in ("model.onnx", "model_q4.onnx")]
    assert f"holds 2 models; name one: {', '.join(names)}" in message


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "holds no .gguf or .onnx file" in unavailable(str(tmp_path))


@pytest.mark.parametrize("path", ["missing.gguf", "some/model", os.path.join("~no-such-user", "x")])
def test_a_missing_file(path: str) -> None:
    assert f"{Path(path)} does not exist" in unavailable(path)
    assert f"{Path(path)} does not exist" in unavailable(None, path)


def test_an_unknown_name() -> None:
    message = unavailable("nanno")
    assert message == "there is no model 'nanno'; did you mean nano? see edgespec models list"
    assert "did you mean" not in unavailable("xyzzy")
    assert "x" * 300 in unavailable("x" * 300)


def test_a_file_that_should_have_been_installed(package: Path) -> None:
    (package / "nano/drafter.gguf").unlink()
    assert "drafter.gguf is missing; reinstall edgespec" in unavailable("nano")
    assert resolve("nano", speculate=False).target.is_file()
    assert not catalog.entries()[0].present
    assert catalog.entries()[0].size == 3


def broken(tmp_path: Path, text: str, *, outside: bool = False) -> str:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        catalog_file.read(file, tmp_path, outside=outside)
    assert caught.value.exit_code is ExitCode.USAGE
    assert str(caught.value).startswith(f"{file}")
    return str(caught.value).removeprefix(f"{file}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default = ", " cannot be read: Invalid value (at end of document)"),
        ("pairs = 1", ", line 1: pairs is not a table"),
        ("default = 3\npairs = {}", ", line 1: default is not text"),
        ("\n[pairs]\nx = 1", ", line 3: pairs.x is not a table"),
        (VALID.replace("licence", "license"), ", line 4: pairs.nano.license is not a known key;"),
        (VALID.replace("licence", "xyz"), ", line 4: pairs.nano.xyz is not a known key; known k"),
        (VALID.replace("2048", "true"), ", line 5: pairs.nano.context is not a whole number"),
        (VALID.replace("2048", "-1"), ", line 5: pairs.nano.context is negative"),
        (VALID.replace("target =", "size ="), ", line 6: pairs.nano.size is not a number"),
        (VALID.replace('description = "a toy"', ""), ", line 2: pairs.nano lacks the key descrip"),
        (VALID.replace("nano/target", "/nano/target"), ", line 6: pairs.nano.target is not a .gg"),
        (VALID.replace("nano/target", "../target"), ", line 6: pairs.nano.target is not a .gguf"),
        (VALID.replace("target.gguf", "target.bin"), ", line 6: pairs.nano.target is neither a"),
        (VALID.replace("nano/target.gguf", "hf:nano"), ", line 6: pairs.nano.target is not usa"),
        (VALID + "sidecars = [1]", ", line 8: pairs.nano.sidecars is not a list of texts"),
        (VALID.replace("pairs.nano", 'pairs."n.1"') + "x = 1", ", line 8: pairs.n.1.x is not a k"),
    ],
)
def test_a_broken_catalogue_names_the_file_the_line_and_the_key(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert broken(tmp_path, text).startswith(expected)


def test_an_unreadable_catalogue(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        catalog_file.read(tmp_path / "missing.toml", tmp_path, outside=True)


def test_a_catalogue_of_one_s_own(package: Path, models: Path, edgespec_home: Path) -> None:
    config = edgespec_home / "config"
    config.mkdir(parents=True)
    own = config / "models.toml"
    own.write_text(
        f"""
        default = "mine"
        [pairs.mine]
        description = "my own"
        licence = "none"
        target = "{models / "one.gguf"}"
        [pairs.nano]
        description = "another"
        licence = "none"
        target = "gone.gguf"
        """
    )
    assert resolve(None) == Pair("mine", models / "one.gguf", None)
    assert resolve("mine", "mine").drafter == models / "one.gguf"
    with pytest.raises(ModelUnavailable, match=rf"{config / 'gone.gguf'} is missing; see {own}"):
        resolve("nano")
    assert [entry.name for entry in catalog.entries()] == ["nano", "mine"]
    own.write_text('default = "x"')
    with pytest.raises(InvalidInput, match=f"{own}: default: there is no pair 'x'"):
        resolve(None)


def test_a_pair_of_the_hub(package: Path) -> None:
    text = VALID + '[pairs.big]\ndescription = ""\nlicence = ""\ntarget = "hf:me/big"\n'
    (package / "models.toml").write_text(text)
    entry = catalog.load().entries["big"]
    assert (entry.present, entry.size, entry.drafter) == (False, 0, None)
    assert "big is not all here; edgespec pull big" in unavailable("big")
    library = Library()
    file = InstalledFile(library.home("me/big", "0" * 40) / "big-Q4_0.gguf", 4, "a" * 64)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(b"1234")
    library.finish(Installed("hf:me/big:Q4_0", "me/big", "0" * 40, "", (file,)))
    assert resolve("big") == Pair("big", file.path, None)
    assert catalog.load().entries["big"].present


def test_the_pairs_of_this_edgespec_make_sense() -> None:
    records = [entry.record for entry in catalog.entries()]
    assert len(records) >= 15
    for record in records:
        assert record.licence
        assert record.active <= record.parameters
        assert not record.drafter or record.drafter != record.target
