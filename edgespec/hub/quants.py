"""The models in a repository: which of its files are one model, and in which quantization."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from edgespec.errors import ModelUnavailable
from edgespec.hub.client import RemoteFile, Repository
from edgespec.hub.names import PREFIX, base, is_file, shown

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_QUANT = re.compile(
    r"(?:^|[-_.])(?P<quant>(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4)|BF16|F16|F32)"
    r"(?=$|[-_.])",
    re.IGNORECASE,
)
_SIDECARS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
"""Beginnings of the names of files that are part of a model, but not one by themselves."""
_UNQUANTIZED = ("BF16", "F16", "F32")
_ENOUGH = 8


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One model of a repository at one commit; `choice` tells it from the others there.

    `files` are the parts in order, a single one unless it is split.
    """

    repository: str
    commit: str
    choice: str
    files: tuple[RemoteFile, ...]

    @property
    def name(self) -> str:
        """As a user would write it."""
        return f"{PREFIX}{self.repository}:{self.choice}"

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(file.size for file in self.files)

    @property
    def quantized(self) -> bool:
        """Whether it is smaller than the weights were trained in."""
        return quant(self.files[0].path) not in _UNQUANTIZED


def models(repository: Repository) -> list[RemoteModel]:
    """The complete models in `repository`, the largest first.

    Files with a name that cannot be a file everywhere are left out, as are those whose names
    differ in case only, and sets with a part missing.
    """
    groups: dict[str, list[RemoteFile]] = defaultdict(list)
    alike = Counter(file.path.casefold() for file in repository.files)
    for file in repository.files:
        name = base(file.path).lower()
        usable = is_file(file.path) and alike[file.path.casefold()] == 1
        if usable and name.endswith(".gguf") and not name.startswith(_SIDECARS):
            groups[_stem(file.path)].append(file)
    sets = {stem: parts for stem, files in groups.items() if (parts := _complete(files))}
    labels = [quant(stem) for stem in sets]
    found = [
        RemoteModel(repository.name, repository.commit, _choice(stem, labels), parts)
        for stem, parts in sets.items()
    ]
    return sorted(found, key=lambda model: (-model.size, model.choice))


def named(found: Sequence[RemoteModel], choice: str, repository: str) -> RemoteModel:
    """The model that `choice`, a quantization or a file's name, means. Raises ModelUnavailable."""
    for model in found:
        paths = [file.path for file in model.files]
        if choice.upper() == model.choice.upper() or choice in (*paths, *map(base, paths)):
            return model
    hint = f"it has {choices(found)}" if found else ""
    raise ModelUnavailable(f"{repository} has no {shown(choice)}", hint)


def require_some(found: Sequence[RemoteModel], repository: Repository) -> None:
    """Raise ModelUnavailable, saying what is there, unless the repository has a model."""
    if found:
        return
    ggufs = [file.path for file in repository.files if file.path.lower().endswith(".gguf")]
    if ggufs:
        what = f"{repository.name} has no complete model: it has {shown(ggufs[0])}"
        raise ModelUnavailable(what + f" and {len(ggufs) - 1} more" * (len(ggufs) > 1))
    raise ModelUnavailable(
        f"{repository.name} holds no .gguf file and no ONNX export for text generation",
        "look for a GGUF conversion of the model",
    )


def choices(found: Sequence[RemoteModel]) -> str:
    """The models' choices, for people."""
    names = [shown(model.choice) for model in found]
    more = f" and {len(names) - _ENOUGH} more" if len(names) > _ENOUGH else ""
    return ", ".join(names[:_ENOUGH]) + more


def quant(path: str) -> str:
    """The quantization that a file's name tells, such as "Q4_K_M", empty if none."""
    found = [match["quant"].upper() for match in _QUANT.finditer(base(path))]
    return found[-1] if found else ""


def _choice(stem: str, labels: Sequence[str]) -> str:
    label = quant(stem)
    return label if label and labels.count(label) == 1 else base(stem)


def _stem(path: str) -> str:
    """`path` without its extension and the number of its part."""
    stem = path[: -len(".gguf")]
    match = _SHARD.fullmatch(stem)
    return match["stem"] if match else stem


def _complete(files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The parts in order, none unless they are one whole model."""
    parts = sorted(files, key=lambda file: file.path)
    numbered = [_SHARD.fullmatch(file.path[: -len(".gguf")]) for file in parts]
    if len(parts) == 1 and numbered[0] is None:
        return tuple(parts)
    for number, match in enumerate(numbered, 1):
        if not match or int(match["number"]) != number or int(match["count"]) != len(parts):
            return ()
    return tuple(parts)
