"""The catalogue of model pairs, and how a name or a path becomes a pair of files."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edgespec import catalog_file, foreign, paths
from edgespec.catalog_file import Record
from edgespec.errors import InvalidInput, ModelUnavailable
from edgespec.hub.names import PREFIX, parse
from edgespec.library import Library

FILE = "models.toml"
"""The catalogue's name, in the package and in the folder of the user's settings."""

_PACKAGE = Path(__file__).parent
_LATER_PART = re.compile(r".+-(?!00001)\d{5}-of-\d{5}\.gguf")
_SEE = "see edgespec models list"


@dataclass(frozen=True, slots=True)
class Pair:
    """A target and the drafter that goes with it, if any, as files."""

    name: str
    target: Path
    drafter: Path | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A pair of the catalogue, and what `record` tells of it."""

    record: Record

    @property
    def name(self) -> str:
        """What the pair is called."""
        return self.record.name

    @property
    def description(self) -> str:
        """For people, one line."""
        return self.record.description

    @property
    def licence(self) -> str:
        """The target's."""
        return self.record.licence

    @property
    def context(self) -> int:
        """Tokens that the target can look back on, 0 if that is not known."""
        return self.record.context

    @property
    def target(self) -> Path:
        """Its file; there is none by this path if it was not pulled."""
        return _place(self.record, self.record.target)

    @property
    def drafter(self) -> Path | None:
        """Its file, likewise, None if the pair has only a target."""
        return _place(self.record, self.record.drafter) if self.record.drafter else None

    @property
    def remote(self) -> bool:
        """Whether its target comes from the Hub."""
        return self.record.target.startswith(PREFIX)

    @property
    def files(self) -> tuple[Path, ...]:
        """The target's and the drafter's."""
        return (self.target, self.drafter) if self.drafter else (self.target,)

    @property
    def present(self) -> bool:
        """Whether all files are there."""
        return all(file.is_file() for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of the files that are there."""
        return sum(file.stat().st_size for file in self.files if file.is_file())


@dataclass(frozen=True, slots=True)
class Catalog:
    """All pairs by name, and the name of the one to use if none is given.

    `chosen` tells whether that is the user's choice.
    """

    entries: Mapping[str, Entry]
    default: str
    chosen: bool

    def of_target(self, file: Path) -> Entry | None:
        """The first pair whose target is `file`."""
        return next((entry for entry in self.entries.values() if entry.target == file), None)


def entries() -> tuple[Entry, ...]:
    """The pairs of the catalogue, in its order."""
    return tuple(load().entries.values())


def resolve(model: str | None, drafter: str | None = None, *, speculate: bool = True) -> Pair:
    """The files that `model` and `drafter` mean.

    Each is a name of the catalogue, a GGUF or ONNX file, or a folder that holds one model; without
    `model` it is the catalogue's default. Where the target is that of a pair, the pair's drafter is
    used unless another is given. With `speculate` False there is none. Raises ModelUnavailable.
    """
    catalog = load()
    entry = catalog.entries.get(model or catalog.default)
    if entry:
        name, target = entry.name, _present(entry, entry.target)
    else:
        name, target = _found(catalog, str(model))
        entry = catalog.of_target(target)
    if not speculate:
        return Pair(name, target, None)
    if drafter is None:
        return Pair(name, target, _usual(entry) if entry else None)
    other = catalog.entries.get(drafter)
    return Pair(name, target, _drafter(other) if other else _found(catalog, drafter)[1])


def load() -> Catalog:
    """Read the catalogue: edgespec's own, extended and overridden by the user's.

    Raises InvalidInput, naming the file, the line and the key, if one is not as it must be.
    """
    own = catalog_file.read(_own_file(), _PACKAGE, outside=False)
    files = [own]
    theirs = paths.config_dir() / FILE
    if theirs.is_file():
        files.append(catalog_file.read(theirs, theirs.parent, outside=True))
    records = {name: record for file in files for name, record in file.records.items()}
    for file in reversed(files):
        if file.default:
            if file.default not in records:
                raise InvalidInput(f"{file.path}: default: there is no pair {file.default!r}")
            found = {name: Entry(record) for name, record in records.items()}
            return Catalog(found, file.default, chosen=file is not own)
    raise InvalidInput(f"{own.path}: default is missing", "reinstall edgespec")


def _own_file() -> Path:
    """In a wheel it lies inside the package, in a checkout beside it."""
    installed = _PACKAGE / FILE
    return installed if installed.is_file() else _PACKAGE.parent / FILE


def _place(record: Record, text: str) -> Path:
    """The file that `text` of `record` means; if it is to be pulled, a path that is not there."""
    if text.startswith(PREFIX):
        pulled = Library().best(parse(text).name)
        return pulled.path if pulled else Path(text)
    return record.folder / Path(text).expanduser()


def _found(catalog: Catalog, text: str) -> tuple[str, Path]:
    """The model that `text`, not a name of the catalogue, leads to: what it is called, its file."""
    path = Path(os.path.expanduser(text))
    if os.path.isdir(path):
        path = _only_model(path)
    if os.path.exists(path):
        return path.stem, path
    if kept := _kept(text):
        return kept
    if path.suffix in (".gguf", ".onnx") or len(path.parts) > 1:
        raise ModelUnavailable(f"{path} does not exist", _SEE)
    near = get_close_matches(text, catalog.entries, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelUnavailable(f"there is no model {text!r}", hint + _SEE)


def _kept(name: str) -> tuple[str, Path] | None:
    """The model called `name` that was pulled from the Hub, or that another program holds."""
    library = Library()
    if pulled := library.best(name):
        return pulled.name, pulled.path
    if begun := library.find(name):
        raise ModelUnavailable(f"{begun.name} is not all here", f"edgespec pull {begun.name}")
    if name.startswith(PREFIX):
        raise ModelUnavailable(f"{name} is not here", f"edgespec pull {name}")
    other = foreign.find(name)
    return (other.name, other.path) if other else None


def _only_model(folder: Path) -> Path:
    """The one model in `folder`, by its first part if it is split; ONNX as the Hub lays it out."""
    found = [file for file in sorted(folder.glob("*.gguf")) if not _LATER_PART.fullmatch(file.name)]
    found = found or sorted([*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")])
    if len(found) == 1:
        return found[0]
    what = f"holds {len(found)} models" if found else "holds no .gguf or .onnx file"
    names = ", ".join(str(file.relative_to(folder)) for file in found[:3])
    raise ModelUnavailable(f"{folder} {what}", f"name one: {names}" if found else _SEE)


def _present(entry: Entry, file: Path) -> Path:
    if file.is_file():
        return file
    if str(file).startswith(PREFIX):
        raise ModelUnavailable(f"{entry.name} is not all here", f"edgespec pull {entry.name}")
    inside = entry.record.folder == _PACKAGE
    hint = "reinstall edgespec" if inside else f"see {entry.record.folder / FILE}"
    raise ModelUnavailable(f"{file} is missing", hint)


def _usual(entry: Entry) -> Path | None:
    """The pair's own drafter; one of the Hub that was not pulled can be done without."""
    file = entry.drafter
    if file is None or (str(file).startswith(PREFIX) and not file.is_file()):
        return None
    return _present(entry, file)


def _drafter(entry: Entry) -> Path:
    """The drafter of a pair that is named as a drafter; of a single model, itself."""
    return _present(entry, entry.drafter or entry.target)
