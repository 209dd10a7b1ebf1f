"""Finds the drafters that a target could have: on this machine, and those of the catalogue."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgespec import catalog, foreign, headers, machines, measurements, paths
from edgespec.attention import PLAIN
from edgespec.catalog import Pair
from edgespec.cpus import default_threads
from edgespec.errors import EdgespecError
from edgespec.gguf_header import read_header
from edgespec.headers import Header
from edgespec.hub.names import PREFIX, parse
from edgespec.library import Library
from edgespec.measurements import Measurements, MeasurementStore
from edgespec.placement.ask import DEFAULT_CONTEXT
from edgespec.placement.choose import rate_alone
from edgespec.ranking import Candidate, Suggestion, active_bytes, rank

ReadRemote = Callable[[str], tuple[str, Header]]
"""The full name and the header of a model of the Hub; raises EdgespecError."""

_OUTPUTS = 17
_USUAL: tuple[tuple[str, ...], ...] = ((), (PLAIN,))
"""What a key of costs has beside files, threads and outputs: how the target attends, if plainly."""
_WORTH_IT = 1.05


@dataclass(frozen=True, slots=True)
class Target:
    """A model that wants a drafter; `file` is None if it is still on the Hub."""

    name: str
    header: Header
    file: Path | None


def find_target(name: str, read_remote: ReadRemote) -> Target:
    """The model that `name` means, here or, if it was not pulled, on the Hub.

    Raises ModelUnavailable, or what `read_remote` raises.
    """
    if source := on_hub(name):
        return Target(*read_remote(source), None)
    file = catalog.resolve(name, speculate=False).target
    return Target(name, headers.read(file), file)


def on_hub(name: str) -> str:
    """What the Hub calls the model that `name` means, empty for one that is not there or here."""
    entry = catalog.load().entries.get(name)
    source = entry.record.target if entry and not entry.target.is_file() else name
    there = source.startswith(PREFIX) and not Library().best(parse(source).name)
    return source if there else ""


def usual_drafter(name: str) -> str:
    """What the catalogue's pair `name` has the Hub's drafter called, empty if it has none."""
    entry = catalog.load().entries.get(name)
    drafter = entry.record.drafter if entry else ""
    return drafter if drafter.startswith(PREFIX) else ""


def suggestions(target: Target, read_remote: ReadRemote | None = None) -> list[Suggestion]:
    """All models that could draft for `target`, judged, the best first.

    Of those that are not here, the ones that the catalogue pairs with it are asked for, if
    `read_remote` is given.
    """
    own = _own()
    found = list(_candidates(target, own | _others(own)))
    if read_remote:
        found += _remote(target, read_remote, {candidate.name for candidate in found})
    return rank(target.header, found)


def best_model() -> str:
    """The model to use where none is named: the user's default, else the best that was pulled.

    That is the largest that generates text and fits this machine; without one it is edgespec's own.
    """
    known = catalog.load()
    pulled = [model for model in Library().installed() if model.complete]
    if known.chosen or not pulled:
        return known.default
    machine = machines.idle()
    for model in sorted(pulled, key=lambda model: model.size, reverse=True):
        with suppress(EdgespecError):
            if rate_alone(machine, model.name, read_header(model.path), DEFAULT_CONTEXT):
                entry = known.of_target(model.path)
                return entry.name if entry else model.name
    return known.default


def best_pair(model: str | None, drafter: str | None = None, *, speculate: bool = True) -> Pair:
    """What `catalog.resolve` makes of the names, or of the best model if there is none.

    A target that has no drafter gets the one among edgespec's own and the pulled ones that should
    make it fastest, if that gains 5 % at least. Raises ModelUnavailable.
    """
    pair = catalog.resolve(model or best_model(), drafter, speculate=speculate)
    if pair.drafter or not speculate:
        return pair
    target = Target(pair.name, headers.read(pair.target), pair.target)
    files = _own()
    ranked = rank(target.header, list(_candidates(target, files)))
    best = next((one for one in ranked if one.fit.direct and one.speedup >= _WORTH_IT), None)
    return replace(pair, drafter=files[best.name]) if best else pair


def _own() -> dict[str, Path]:
    """The models by name that edgespec itself keeps."""
    found = {
        entry.name: entry.drafter or entry.target
        for entry in catalog.entries()
        if entry.present and not entry.remote
    }
    pulled = Library().installed()
    return found | {model.name: model.path for model in pulled if model.complete}


def _others(own: dict[str, Path]) -> dict[str, Path]:
    """The models of other programs, but for those that a pulled model uses in place."""
    taken = {file.resolve() for file in own.values()}
    found = foreign.models()
    return {model.name: model.path for model in found if model.path.resolve() not in taken}


def _candidates(target: Target, files: dict[str, Path]) -> Iterator[Candidate]:
    """The smaller ones of the models in `files`."""
    most = active_bytes(target.header)
    for name, file in files.items():
        if target.file and file.resolve() == target.file.resolve():
            continue
        try:
            header = headers.read(file)
        except EdgespecError:
            continue
        if active_bytes(header) < most:
            yield Candidate(name, header, True, _known(target, file))


def _remote(target: Target, read_remote: ReadRemote, known: set[str]) -> Iterator[Candidate]:
    for entry in catalog.entries():
        record = entry.record
        drafter = record.drafter
        names = {target.name, *_repositories(target.name)}
        related = entry.name in names or names & set(_repositories(record.target))
        if related and drafter.startswith(PREFIX) and not Library().best(parse(drafter).name):
            try:
                name, header = read_remote(drafter)
            except EdgespecError:
                continue
            if name not in known:
                yield Candidate(name, header, here=False)


def _repositories(name: str) -> list[str]:
    """The repository that a name of the Hub is about, if it is one."""
    return [parse(name).repository.lower()] if name.startswith(PREFIX) else []


def _known(target: Target, drafter: Path) -> Measurements | None:
    """What was measured of the two as edgespec loads them by default."""
    if target.file is None:
        return None
    store = MeasurementStore(paths.cache_dir() / "measurements")
    files, threads = (target.file, drafter), default_threads()
    usual = (store.load(measurements.pair_key(files, threads, _OUTPUTS, *more)) for more in _USUAL)
    return next(filter(None, usual), None)
