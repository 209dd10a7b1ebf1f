"""Pulls a model and the drafter that goes with it: what `edgespec pull` and the screens call."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event

from edgespec import catalog, machines
from edgespec.errors import InvalidInput, VocabularyMismatch
from edgespec.hub.choice import CONTEXT, Chooser, Chosen, Room
from edgespec.hub.client import Hub, is_offline
from edgespec.hub.install import install
from edgespec.hub.names import PREFIX, Wish, parse
from edgespec.hub.pull import OnProgress
from edgespec.library import Installed, Library
from edgespec.onnx_header import OnnxHeader
from edgespec.pooling import embeds

NO_DRAFTER = "none"


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull.

    `quant` is the target's, None for the largest that fits; `context` the tokens that it must have
    room for; `drafter` a model of the Hub, "none", or None for the catalogue's. With `force`,
    models that do not fit this machine are pulled, too.
    """

    quant: str | None = None
    context: int = CONTEXT
    drafter: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be pulled, the drafter first, and what should be said about it."""

    models: tuple[Chosen, ...]
    notes: tuple[str, ...] = ()


def pull(
    name: str,
    options: PullOptions,
    on_plan: Callable[[Plan], None],
    on_progress: OnProgress,
    stop: Event,
    *,
    hub: Hub | None = None,
    library: Library | None = None,
) -> list[Installed]:
    """Get the model `name`, of the catalogue or of the Hub, and its drafter.

    `on_plan` is called when everything is chosen and before anything is fetched, `on_progress`
    while it is, both on this thread. `stop`, set on any thread, ends it early; what was fetched
    until then is kept, and the same call goes on from there. Raises InvalidInput, ModelUnavailable,
    NotEnoughMemory, VocabularyMismatch, DownloadFailed or Cancelled.
    """
    library = library or Library()
    target, drafter = _wishes(name, options)
    here = [library.best(wish.name) for wish in (drafter, target) if wish]
    if is_offline() and all(here):
        return [model for model in here if model]
    hub = hub or Hub()
    plan = _plan(Chooser(hub, library, stop), target, drafter, options)
    on_plan(plan)
    return install(hub, library, plan.models, on_progress, stop)


def _wishes(name: str, options: PullOptions) -> tuple[Wish, Wish | None]:
    """The target and the drafter that `name` and `options` mean."""
    entries = catalog.load().entries
    if entry := entries.get(name):
        if not entry.remote:
            raise InvalidInput(f"{name} needs no pulling: it is a file, {entry.target}")
        target, usual = parse(entry.record.target), entry.record.drafter
    else:
        target = parse(name)
        usual = next(
            (other.record.drafter for other in entries.values() if _is_about(other, target)), ""
        )
    if options.quant:
        target = replace(target, choice=options.quant)
    drafter = usual if options.drafter is None else options.drafter
    if drafter == NO_DRAFTER or (not drafter.startswith(PREFIX) and options.drafter is None):
        return target, None
    return target, parse(drafter)


def _is_about(entry: catalog.Entry, wish: Wish) -> bool:
    """Whether the catalogue pairs the repository of `wish` with a drafter."""
    if not entry.remote:
        return False
    return parse(entry.record.target).repository.lower() == wish.repository.lower()


def _plan(chooser: Chooser, target: Wish, drafter: Wish | None, options: PullOptions) -> Plan:
    room = Room(None if options.force else machines.idle(), options.context)
    if drafter is None:
        large = chooser.choose(target, room)
        return Plan((large,), _about(large))
    small = chooser.choose(drafter, room)
    large = chooser.choose(target, room.without(small.needs))
    # Not at the top: it needs the whole scheduler, and a model without a drafter does not.
    from edgespec.ranking import Candidate, judge

    name = small.model.name
    if isinstance(small.header, OnnxHeader) or isinstance(large.header, OnnxHeader):
        # Their vocabulary is known once they are here; whatever it is, a bridge will mostly do.
        return Plan((small, large))
    verdict = judge(large.header, Candidate(name, small.header, here=False))
    wanted = options.drafter is not None
    if not verdict.fit.usable or not (wanted or verdict.fit.direct):
        if wanted:
            raise VocabularyMismatch(
                f"{name} and {large.model.name} have no vocabulary in common",
                "choose a drafter of the target's family, or --drafter none",
            )
        return Plan((large,), (*_about(large), f"{name} has another vocabulary and is left out"))
    notes = (f"{name}: {warning}" for warning in verdict.warnings)
    return Plan((small, large), (*_about(large), *notes))


def _about(target: Chosen) -> tuple[str, ...]:
    """What should be said of the target alone."""
    header = target.header
    if isinstance(header, OnnxHeader) or embeds(header) or header.text("tokenizer.chat_template"):
        return ()
    return (f"{target.model.name} has no chat template: a chat is plain dialogue to it",)
