"""The models on this machine that came from the Hub: what each consists of, and whether it is all
there.

A manifest, one small JSON file per model, is written before the first byte is fetched, so that a
pull that was cut off can be seen, resumed and removed. Until the pull is through, it lies beside
the manifest of the version before, which stays in use.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from edgespec import own_files, paths

_FORMAT = 1
_MANIFESTS = "manifests"
_DONE, _PENDING = ".json", ".pending"
_PARTIAL = ".partial"
_CHUNK = 1 << 20
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A part of a model: the file at `path`, once it is there, has this size and checksum."""

    path: Path
    size: int
    sha256: str

    @property
    def present(self) -> bool:
        """Whether it is there. It gets its name only when it is whole and verified."""
        try:
            return self.path.stat().st_size == self.size
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Installed:
    """A model of the Hub on this machine, or on its way to it; `files` are its parts in order."""

    name: str
    repository: str
    commit: str
    licence: str
    files: tuple[InstalledFile, ...]

    @property
    def complete(self) -> bool:
        """Whether every part is there."""
        return all(file.present for file in self.files)

    @property
    def digests(self) -> tuple[str, ...]:
        """The SHA-256 of every part."""
        return tuple(file.sha256 for file in self.files)

    @property
    def path(self) -> Path:
        """The file to load, the first part if it is split."""
        return self.files[0].path

    @property
    def size(self) -> int:
        """Bytes of the whole model."""
        return sum(file.size for file in self.files)


class Library:
    """All installed models, kept below `folder`, by default where edgespec keeps its models."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or paths.models_dir()

    def installed(self) -> list[Installed]:
        """All models in the order of their names, incomplete ones included."""
        models = {model.name: model for model in self._everything()}
        return sorted(models.values(), key=lambda model: model.name)

    def pending(self, name: str) -> Installed | None:
        """The version of the model called `name` whose pull was begun and is not through."""
        return self._read(self._manifest(name, _PENDING))

    def find(self, name: str) -> Installed | None:
        """The model called `name`, or of the repository `name`, complete or not.

        Of several, it is the largest, a complete one if there is any.
        """
        alike = [model for model in self.installed() if _means(name, model)]
        return max(alike, key=lambda model: (model.complete, model.size), default=None)

    def best(self, name: str) -> Installed | None:
        """As `find`, if it is complete."""
        found = self.find(name)
        return found if found and found.complete else None

    def home(self, repository: str, commit: str) -> Path:
        """The folder for files of `repository` at `commit`: what lies there never changes."""
        return self.folder.joinpath(*repository.split("/"), commit[:12])

    def held(self, digest: str) -> Path | None:
        """A file of an installed model that has this checksum."""
        files = (file for model in self._everything() for file in model.files)
        return next((file.path for file in files if file.sha256 == digest and file.present), None)

    def begin(self, model: Installed) -> None:
        """Note that `model` is on its way. What an older note was about is removed."""
        old = self.pending(model.name)
        self._write(model, self._manifest(model.name, _PENDING))
        self._drop(old.files if old else ())

    def finish(self, model: Installed) -> None:
        """Note that `model` is all there. What only its older version used is removed."""
        done = self._manifest(model.name, _DONE)
        old = self._read(done)
        self._write(model, done)
        self._manifest(model.name, _PENDING).unlink(missing_ok=True)
        self._drop(old.files if old else ())

    def remove(self, model: Installed) -> int:
        """Remove `model` and what only it used; the bytes that were freed. Raises OSError.

        A file that another model uses, or another program's, stays.
        """
        pending = self.pending(model.name)
        for state in (_DONE, _PENDING):
            self._manifest(model.name, state).unlink(missing_ok=True)
        return self._drop([*model.files, *(pending.files if pending else ())])

    def _write(self, model: Installed, manifest: Path) -> None:
        data = {
            "format": _FORMAT,
            "name": model.name,
            "repository": model.repository,
            "commit": model.commit,
            "licence": model.licence,
            "files": [
                {"path": self._stored(file.path), "size": file.size, "sha256": file.sha256}
                for file in model.files
            ],
        }
        own_files.replace(manifest, json.dumps(data, indent=2))

    def _everything(self) -> list[Installed]:
        return [*self._read_all(_PENDING), *self._read_all(_DONE)]

    def _read_all(self, state: str) -> list[Installed]:
        manifests = sorted((self.folder / _MANIFESTS).glob(f"*{state}"))
        return [model for manifest in manifests if (model := self._read(manifest))]

    def _drop(self, files: Sequence[InstalledFile]) -> int:
        used = {file.sha256 for model in self._everything() for file in model.files}
        freed = 0
        for file in files:
            if file.sha256 in used:
                continue
            partial = self.folder / _PARTIAL / f"{file.sha256}.part"
            for path in (file.path, partial):
                if path.is_relative_to(self.folder) and path.is_file():
                    freed += path.stat().st_size
                    path.unlink()
                    self._prune(path.parent)
            (self.folder / _PARTIAL / f"{file.sha256}.lock").unlink(missing_ok=True)
        return freed

    def _prune(self, folder: Path) -> None:
        """Remove the empty folders that led to a file."""
        with suppress(OSError):
            while folder != self.folder:
                folder.rmdir()
                folder = folder.parent

    def _stored(self, path: Path) -> str:
        """`path` as a manifest has it: relative if it moves together with the folder."""
        inside = path.is_relative_to(self.folder)
        return path.relative_to(self.folder).as_posix() if inside else str(path)

    def _manifest(self, name: str, state: str) -> Path:
        """The hash tells names apart that a file system may take for one."""
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return self.folder / _MANIFESTS / f"{readable.lower()[:100]}.{digest}{state}"

    def _read(self, manifest: Path) -> Installed | None:
        """The model of a manifest, None if it is not usable: then it can be pulled again."""
        try:
            data = json.loads(manifest.read_text("utf-8"))
            if data["format"] != _FORMAT:
                return None
            files = tuple(self._file(file) for file in data["files"])
            name, repository, commit, licence = (
                str(data[key]) for key in ("name", "repository", "commit", "licence")
            )
            return Installed(name, repository, commit, licence, files) if files else None
        except _UNUSABLE:
            return None

    def _file(self, data: dict[str, Any]) -> InstalledFile:
        path = self.folder / str(data["path"])
        return InstalledFile(path, int(data["size"]), str(data["sha256"]))


def _means(name: str, model: Installed) -> bool:
    """Whether a user who writes `name` can mean `model`."""
    plain = model.name.lower()
    return plain == name.lower() or plain.startswith(f"{name.lower()}:")


def is_damaged(file: InstalledFile, on_progress: Callable[[int], None] = lambda _: None) -> bool:
    """Whether `file`, read in full, is not what it was on the Hub.

    `on_progress` is told the bytes read so far.
    """
    digest, done = sha256(), 0
    try:
        with file.path.open("rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                on_progress(done)
    except OSError:
        return True
    return digest.hexdigest() != file.sha256
