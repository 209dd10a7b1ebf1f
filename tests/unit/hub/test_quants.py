import pytest

from edgespec.errors import ModelUnavailable
from edgespec.hub.client import RemoteFile, Repository
from edgespec.hub.quants import RemoteModel, choices, models, named, quant, require_some

COMMIT = "0" * 40


def repository(*paths: str) -> Repository:
    """A repository whose files have their place in the list as size, from 1 on."""
    files = tuple(RemoteFile(path, size, "a" * 64) for size, path in enumerate(paths, 1))
    return Repository("me/model", COMMIT, files, "")


def found(*paths: str) -> list[RemoteModel]:
    return models(repository(*paths))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("a/B-UD-IQ2_XXS-00001-of-00003.gguf", "UD-IQ2_XXS"),
        ("model.Q8_0.gguf", "Q8_0"),
        ("SmolLM2-1.7B-instruct-bf16.gguf", "BF16"),
        ("Q3-model-TQ1_0.gguf", "TQ1_0"),
        ("plain.gguf", ""),
    ],
)
def test_the_quantization_in_a_name(name: str, label: str) -> None:
    assert quant(name.removesuffix(".gguf").removesuffix("-00001-of-00003")) == label


def test_models_largest_first() -> None:
    names = [model.name for model in found("m-Q4_0.gguf", "README.md", "m-Q8_0.gguf")]
    assert names == ["hf:me/model:Q8_0", "hf:me/model:Q4_0"]


def test_parts_are_one_model() -> None:
    (model,) = found("Q4_0/m-Q4_0-00002-of-00002.gguf", "Q4_0/m-Q4_0-00001-of-00002.gguf")
    assert [file.path[-11:-5] for file in model.files] == ["-00002"] * 2
    assert model.files[0].path < model.files[1].path
    assert (model.choice, model.size) == ("Q4_0", 3)


@pytest.mark.parametrize(
    "paths",
    [
        ("m-Q4_0-00001-of-00002.gguf",),
        ("m-Q4_0-00001-of-00003.gguf", "m-Q4_0-00003-of-00003.gguf"),
        ("m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00003.gguf"),
        ("m-Q4_0.gguf", "M-q4_0.gguf"),
        ("../m-Q4_0.gguf",),
        ("\x1b[2Jm.gguf",),
        ("mmproj-F16.gguf",),
        ("mtp-m-Q8_0.gguf",),
    ],
)
def test_what_is_no_whole_model(paths: tuple[str, ...]) -> None:
    assert found(*paths) == []
    with pytest.raises(ModelUnavailable, match=r"has no complete model: it has [^\x1b]*$"):
        require_some([], repository(*paths))


def test_a_repository_without_models() -> None:
    with pytest.raises(ModelUnavailable, match=r"holds no \.gguf file and no ONNX export"):
        require_some([], repository("model.safetensors"))


def test_choosing_by_quantization_or_by_file() -> None:
    some = found("m-Q4_0.gguf", "m-Q8_0.gguf")
    for choice in ("q4_0", "Q4_0", "m-Q4_0.gguf"):
        assert named(some, choice, "me/model").files[0].path == "m-Q4_0.gguf"
    with pytest.raises(ModelUnavailable, match="me/model has no Q5; it has Q8_0, Q4_0"):
        named(some, "Q5", "me/model")


def test_two_models_of_one_quantization_go_by_their_files() -> None:
    some = found("a-Q4_0.gguf", "b-Q4_0.gguf", "c.gguf")
    assert {model.choice for model in some} == {"a-Q4_0", "b-Q4_0", "c"}


def test_many_choices() -> None:
    some = found(*(f"m{n}.gguf" for n in range(20)))
    assert choices(some).endswith(" and 12 more")
