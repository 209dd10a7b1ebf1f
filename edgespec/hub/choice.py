"""Which model of a repository suits this machine: the largest quantization that fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from edgespec import memory
from edgespec.architectures import require_known
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

if TYPE_CHECKING:
    from edgespec.machines import Machine

CONTEXT = 8192
"""Tokens that a model must have room for unless the user says how many."""

_BATCH = 512
_OUTPUTS = 17


@dataclass(frozen=True, slots=True)
class Room:
    """Where a model shall run with `context` tokens; any has room where there is no `machine`."""

    machine: "Machine | None" = None
    context: int = CONTEXT

    @property
    def size(self) -> int | None:
        """Bytes of the processor's memory and the devices', None for any number."""
        return self.machine.room if self.machine else None

    def needs(self, header: Header) -> int:
        """Bytes that the model of `header` takes."""
        context = min(self.context, header.context_length)
        if isinstance(header, OnnxHeader):
            return header.memory(context)
        return memory.estimate(header, context, _BATCH, _OUTPUTS, rollback=_OUTPUTS).total

    def rate(self, name: str, header: Header) -> float | None:
        """Tokens per second that a plan for the model `name` predicts, None if there is no plan."""
        if self.machine is None:
            return None
        # Not at the top: a search needs no plan.
        from edgespec.placement.choose import rate_alone

        return rate_alone(self.machine, name, header, self.context)

    def without(self, size: int) -> "Room":
        """What is left beside something that takes `size` bytes of the processor's memory."""
        if self.machine is None:
            return self
        return replace(self, machine=replace(self.machine, free=self.machine.free - size))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model, its header, and the bytes of memory that it will need.

    `rate` is what a plan predicts, in tokens per second; None if there is none.
    """

    model: RemoteModel
    licence: str
    header: Header
    needs: int
    rate: float | None


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
        return _chosen(model, repository, header, room)

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
            hopeless = room.size is not None and model.size > room.size
            if hopeless and model is not candidates[-1]:
                continue
            try:
                smallest = self._look(model, repository, room)
            except ModelFileError as error:
                broken = error
            else:
                if room.machine is None or smallest.rate is not None:
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
            require_known(model.name, header.architecture)
        return _chosen(model, repository, header, room)


def _chosen(model: RemoteModel, repository: Repository, header: Header, room: Room) -> Chosen:
    rate = room.rate(model.name, header)
    return Chosen(model, repository.licence, header, room.needs(header), rate)


def look_up(name: str, room: Room) -> tuple[str, Header]:
    """The model of the Hub that `name` means, as the Hub calls it, and what it says of itself."""
    chooser = Chooser(Hub(), Library(), Event())
    chosen = chooser.choose(parse(name), room)
    return chosen.model.name, chooser.compared(chosen)


def _require_fit(chosen: Chosen, room: Room) -> Chosen:
    if room.machine is not None and chosen.rate is None:
        context = min(room.context, chosen.header.context_length)
        devices = (f", {memory.gib(one.free)} on {one.name}" for one in room.machine.devices)
        raise NotEnoughMemory(
            f"{chosen.model.name} needs about {memory.gib(chosen.needs)} of memory with a context "
            f"of {context} tokens, models may take {memory.gib(room.machine.free)} here"
            + "".join(devices),
            "choose a smaller --context or --quant, or pull it all the same with --force",
        )
    return chosen
