"""From chosen models to models on this machine: what is fetched, and what is here already."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from edgespec import foreign
from edgespec.errors import DownloadFailed
from edgespec.hub.choice import Chosen
from edgespec.hub.client import Hub, RemoteFile
from edgespec.hub.fetch import Job
from edgespec.hub.part import part_path
from edgespec.hub.pull import OnProgress, fetch_all
from edgespec.library import Installed, InstalledFile, Library, is_damaged

_SPARE = 16 << 20


def install(
    hub: Hub,
    library: Library,
    wanted: Sequence[Chosen],
    on_progress: OnProgress,
    stop: Event,
) -> list[Installed]:
    """Fetch what is missing of the models `wanted`, in their order, and return them installed.

    `on_progress` is called on this thread; `stop` ends it early when set, from any thread. What
    was fetched until then is kept. Raises DownloadFailed, ModelUnavailable or Cancelled.
    """
    models = [_placed(library, chosen) for chosen in wanted]
    jobs = [
        job for model, chosen in zip(models, wanted, strict=True) for job in _jobs(model, chosen)
    ]
    _require_room(library.folder, jobs)
    for model in models:
        if not model.complete:
            library.begin(model)
    try:
        fetch_all(hub, jobs, library.folder, on_progress, stop)
    finally:
        for model in models:
            if model.complete:
                library.finish(model)
    return models


def _placed(library: Library, chosen: Chosen) -> Installed:
    """Where the files of a model are, or will be."""
    model = chosen.model
    home = library.home(model.repository, model.commit)
    held = _held(library, model.files[0]) if len(model.files) == 1 else None
    files = tuple(
        InstalledFile(held or home.joinpath(*file.path.split("/")), file.size, file.sha256)
        for file in model.files
    )
    return Installed(model.name, model.repository, model.commit, chosen.licence, files)


def _held(library: Library, file: RemoteFile) -> Path | None:
    """The file where it already is, be it under another name or kept by another program."""
    own = library.held(file.sha256)
    return own or next(
        (path for path in foreign.with_checksum(file.sha256) if _is(path, file)), None
    )


def _is(path: Path, file: RemoteFile) -> bool:
    """Whether the file at `path`, which others look after, is `file` to the last byte."""
    there = InstalledFile(path, file.size, file.sha256)
    return there.present and not is_damaged(there)


def _jobs(model: Installed, chosen: Chosen) -> list[Job]:
    return [
        Job(model.name, model.repository, model.commit, remote, file.path)
        for file, remote in zip(model.files, chosen.model.files, strict=True)
        if not file.present
    ]


def _require_room(folder: Path, jobs: Sequence[Job]) -> None:
    """Raise DownloadFailed if what is missing does not fit the disk."""
    parts = {job.file.sha256: part_path(folder, job.file.sha256) for job in jobs}
    sizes = {job.file.sha256: job.file.size for job in jobs}
    here = sum(part.stat().st_size for part in parts.values() if part.is_file())
    missing = sum(sizes.values()) - here
    ground = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(ground).free
    if missing and missing + _SPARE > free:
        raise DownloadFailed(
            f"{missing / 1e6:,.1f} MB are missing and {free / 1e6:,.1f} MB are free in {folder}",
            "free some, or set EDGESPEC_HOME to a folder on another disk",
        )
