"""The catalogue of model pairs, and how a name or a path becomes a pair of files."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edgespec import foreign
from edgespec.errors import InvalidInput, ModelUnavailable
from edgespec.library import Library

_PACKAGE = Path(__file__).parent
_KEYS = {"default": str, "pairs": dict}
_PAIR_KEYS = {"description": str, "licence": str, "context": int, "target": str, "drafter": str}
_LATER_PART = re.compile(r".+-(?!00001)\d{5}-of-\d{5}\.gguf")
_HUB = "hf:"
_SEE = "see edgespec models list"


@dataclass(frozen=True, slots=True)
class Pair:
    """A target and the drafter that goes with it, if any, as files."""

    name: str
    target: Path
    drafter: Path | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A pair of the catalogue; `context` in tokens."""

    name: str
    description: str
    licence: str
    context: int
    target: Path
    drafter: Path

    @property
    def present(self) -> bool:
        """Whether both files are there."""
        return self.target.is_file() and self.drafter.is_file()

    @property
    def size(self) -> int:
        """Bytes of the files that are there."""
        return sum(file.stat().st_size for file in (self.target, self.drafter) if file.is_file())


@dataclass(frozen=True, slots=True)
class Catalog:
    """All pairs by name, and the name of the one to use if none is given."""

    entries: Mapping[str, Entry]
    default: str


def entries() -> tuple[Entry, ...]:
    """The pairs of the catalogue, in its order."""
    return tuple(load().entries.values())


def resolve(model: str | None, drafter: str | None = None, *, speculate: bool = True) -> Pair:
    """The files that `model` and `drafter` mean.

    Each is a name of the catalogue, a GGUF file, or a folder that holds one model; without
    `model` it is the default pair. A pair's own drafter is used unless another is given. With
    `speculate` False there is no drafter. Raises ModelUnavailable.
    """
    catalog = load()
    entry = catalog.entries.get(model or catalog.default)
    if entry:
        target, usual = _present(entry.target), entry.drafter
    else:
        target, usual = _file(catalog, str(model)), None
    name = entry.name if entry else target.stem
    if not speculate:
        return Pair(name, target, None)
    if drafter is None:
        return Pair(name, target, usual and _present(usual))
    other = catalog.entries.get(drafter)
    return Pair(name, target, _present(other.drafter) if other else _file(catalog, drafter))


def load(file: Path | None = None) -> Catalog:
    """Read the catalogue, edgespec's own unless `file` is given.

    Raises InvalidInput, naming the file and the key, if it is not as it must be.
    """
    file = file or _own_file()
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}", "reinstall edgespec") from error
    _require_keys(table, _KEYS, f"{file}: ")
    found = {name: _entry(file, name, pair) for name, pair in table["pairs"].items()}
    if table["default"] not in found:
        raise InvalidInput(f"{file}: default: there is no pair {table['default']!r}")
    return Catalog(found, table["default"])


def _own_file() -> Path:
    """In a wheel it lies inside the package, in a checkout beside it."""
    installed = _PACKAGE / "models.toml"
    return installed if installed.is_file() else _PACKAGE.parent / "models.toml"


def _entry(file: Path, name: str, table: object) -> Entry:
    where = f"{file}: pairs.{name}"
    if not isinstance(table, dict):
        raise InvalidInput(f"{where} is not a table")
    _require_keys(table, _PAIR_KEYS, f"{where}.")
    for key in ("target", "drafter"):
        path = Path(table[key])
        if path.is_absolute() or ".." in path.parts or path.suffix != ".gguf":
            raise InvalidInput(f"{where}.{key} is not a .gguf file inside the package")
    return Entry(
        name,
        table["description"],
        table["licence"],
        table["context"],
        _PACKAGE / table["target"],
        _PACKAGE / table["drafter"],
    )


def _require_keys(table: Mapping[str, object], kinds: Mapping[str, type], where: str) -> None:
    """Raise InvalidInput unless `table` has exactly the keys of `kinds`, each of its type."""
    for key in table.keys() - kinds.keys():
        near = get_close_matches(key, kinds, 1)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(kinds)}"
        raise InvalidInput(f"{where}{key} is not a known key", hint)
    for key, kind in kinds.items():
        if key not in table:
            raise InvalidInput(f"{where}{key} is missing")
        if type(table[key]) is not kind:
            raise InvalidInput(f"{where}{key} is not of type {kind.__name__}")


def _file(catalog: Catalog, text: str) -> Path:
    """The GGUF that `text`, not a name of the catalogue, leads to."""
    path = Path(os.path.expanduser(text))
    if os.path.isdir(path):
        return _only_model(path)
    if os.path.exists(path):
        return path
    if kept := _kept(text):
        return kept
    if path.suffix == ".gguf" or len(path.parts) > 1:
        raise ModelUnavailable(f"{path} does not exist", _SEE)
    near = get_close_matches(text, catalog.entries, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelUnavailable(f"there is no model {text!r}", hint + _SEE)


def _kept(name: str) -> Path | None:
    """The model called `name` that was pulled from the Hub, or that another program holds."""
    if pulled := Library().find(name):
        if pulled.complete:
            return pulled.path
        hint = f"edgespec pull {pulled.name} goes on"
        raise ModelUnavailable(f"{pulled.name} is not all here", hint)
    if name.startswith(_HUB):
        raise ModelUnavailable(f"{name} is not here", f"edgespec pull {name}")
    other = foreign.find(name)
    return other.path if other else None


def _only_model(folder: Path) -> Path:
    """The one model in `folder`, by its first part if it is split."""
    found = [file for file in sorted(folder.glob("*.gguf")) if not _LATER_PART.fullmatch(file.name)]
    if len(found) == 1:
        return found[0]
    what = f"holds {len(found)} models" if found else "holds no .gguf file"
    names = ", ".join(file.name for file in found[:3])
    raise ModelUnavailable(f"{folder} {what}", f"name one: {names}" if found else _SEE)


def _present(file: Path) -> Path:
    if not file.is_file():
        raise ModelUnavailable(f"{file} is missing", "reinstall edgespec")
    return file
