"""Which model of a repository suits this machine: the largest quantization that fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from edgespec import cgroups, memory
from edgespec.errors import ModelFileError, ModelUnavailable, NotEnoughMemory
from edgespec.gguf_header import read_header
from edgespec.headers import Header
from edgespec.hub import exports
from edgespec.hub.client import Hub, Repository, require_online
from edgespec.hub.exports import Export
from edgespec.hub.names import Wish, parse
from edgespec.hub.quants import RemoteModel, models, named, require_some
from edgespec.hub.remote_header import read_remote_header
from edgespec.library import Library
from edgespec.onnx_header import OnnxHeader

CONTEXT = 8192
"""Tokens that a model must have room for unless the user says how many."""

_BATCH = 512
_OUTPUTS = 17
_SYSTEM = 0.1
"""Part of the memory that is left to everything else."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a model may take: `size` bytes with `context` tokens, or any if not `limited`."""

    size: int
    context: int = CONTEXT
    limited: bool = True

    def needs(self, header: Header) -> int:
        """Bytes that the model of `header` takes."""
        context = min(self.context, header.context_length)
        if isinstance(header, OnnxHeader):
            return header.memory(context)
        return memory.estimate(header, context, _BATCH, _OUTPUTS, rollback=_OUTPUTS).total

    def without(self, size: int) -> "Room":
        """What is left beside something that takes `size` bytes."""
        return Room(self.size - size, self.context, self.limited)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model, its header, and the bytes of memory that it will need."""

    model: RemoteModel
    licence: str
    header: Header
    needs: int


def this_machine(root: Path = Path("/")) -> int:
    """Bytes that models may take here when nothing else runs. `root` is "/" but for tests."""
    limits = (
        cgroups.number(folder / name)
        for folder in cgroups.folders("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    total = min([memory.installed(), *(limit for limit in limits if limit is not None)])
    return int(total * (1 - _SYSTEM))


class Chooser:
    """Chooses for this `library`, asking `hub` until `stop` is set."""

    def __init__(self, hub: Hub, library: Library, stop: Event) -> None:
        self._hub = hub
        self._library = library
        self._stop = stop

    def choose(self, wish: Wish, room: Room) -> Chosen:
        """The model that `wish` asks for.

        A pull that was begun goes on at its commit. Without a quantization in the wish it is the
        largest one that fits; unquantized weights are taken only if there is nothing else. Raises
        NotEnoughMemory if what is asked for, or the smallest there is, does not fit, and what Hub
        raises.
        """
        repository, choice = self._repository(wish)
        found = models(repository)
        if not found and (graphs := exports.exports(repository)):
            return _require_fit(self._export(repository, graphs, choice, room), room)
        require_some(found, repository)
        if choice:
            model = named(found, choice, repository.name)
            return _require_fit(self._look(model, repository, room), room)
        return self._largest(repository, found, room)

    def compared(self, chosen: Chosen) -> Header:
        """The header of what was chosen, with all that it takes to compare it with others."""
        header = chosen.header
        if isinstance(header, OnnxHeader):
            return exports.with_tokenizer(self._hub, chosen.model, header, self._stop)
        return header

    def _export(
        self, repository: Repository, graphs: Sequence[Export], choice: str | None, room: Room
    ) -> Chosen:
        graph = exports.named(graphs, choice, repository.name) if choice else graphs[0]
        model, header = exports.resolved(self._hub, repository, graph, self._stop)
        return Chosen(model, repository.licence, header, room.needs(header))

    def _repository(self, wish: Wish) -> tuple[Repository, str | None]:
        """The repository at the commit to take, and the choice in it."""
        here = self._library.find(wish.name)
        begun = self._library.pending(here.name if here else wish.name)
        if begun and not wish.revision:
            try:
                repository = self._hub.repository(wish.repository, begun.commit)
            except ModelUnavailable:
                require_online(begun.name)
                # That commit is gone from the Hub; the newest may have the same file.
            else:
                return repository, begun.name.rpartition(":")[2]
        return self._hub.repository(wish.repository, wish.revision), wish.choice

    def _largest(self, repository: Repository, found: Sequence[RemoteModel], room: Room) -> Chosen:
        candidates = [model for model in found if model.quantized] or list(found)
        broken: ModelFileError | None = None
        smallest: Chosen | None = None
        for model in candidates:
            hopeless = room.limited and model.size > room.size
            if hopeless and model is not candidates[-1]:
                continue
            try:
                smallest = self._look(model, repository, room)
            except ModelFileError as error:
                broken = error
            else:
                if not room.limited or smallest.needs <= room.size:
                    return smallest
        if smallest is None:
            assert broken is not None
            raise broken
        return _require_fit(smallest, room)

    def _look(self, model: RemoteModel, repository: Repository, room: Room) -> Chosen:
        here = self._library.find(model.name)
        if here and here.complete and here.digests == tuple(file.sha256 for file in model.files):
            header = read_header(here.path, generates=False)
        else:
            header = read_remote_header(self._hub, model, self._library.folder, self._stop)
        return Chosen(model, repository.licence, header, room.needs(header))


def look_up(name: str, room: Room) -> tuple[str, Header]:
    """The model of the Hub that `name` means, as the Hub calls it, and what it says of itself."""
    chooser = Chooser(Hub(), Library(), Event())
    chosen = chooser.choose(parse(name), room)
    return chosen.model.name, chooser.compared(chosen)


def _require_fit(chosen: Chosen, room: Room) -> Chosen:
    if room.limited and chosen.needs > room.size:
        context = min(room.context, chosen.header.context_length)
        raise NotEnoughMemory(
            f"{chosen.model.name} needs about {chosen.needs / 2**30:.1f} GiB of memory with a "
            f"context of {context} tokens, models may take {room.size / 2**30:.1f} GiB here",
            "choose a smaller --context or --quant, or pull it all the same with --force",
        )
    return chosen
