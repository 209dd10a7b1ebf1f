"""Drafts for many answers at a time: from the text itself, from siblings, from a small model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from edgespec.acceptance import AcceptanceModel
from edgespec.batch.pace import Pace, Prospect
from edgespec.batch.seats import BatchDrafter
from edgespec.batch.siblings import Siblings
from edgespec.batch.stream import Stream
from edgespec.errors import EdgespecError
from edgespec.events import Source
from edgespec.sources.drafter import N_FEATURES
from edgespec.sources.suffix import SuffixMatch
from edgespec.tree import Candidate

_LONGEST = 16
_ROWS = 32
"""Rows whose samples are remembered."""
_COMPARED = 8
"""Drafts by which two sources are compared."""


@dataclass(slots=True)
class _Proposal:
    """A chain that a source proposed for an answer, and P(its first r drafts are accepted).

    The drafter may make it longer while it is `open`.
    """

    source: str
    chain: list[Candidate] = field(default_factory=list)
    survival: list[float] = field(default_factory=list)
    open: bool = False

    @property
    def promise(self) -> float:
        """Tokens to expect of it."""
        return sum(self.survival[:_COMPARED])

    @property
    def tokens(self) -> list[int]:
        """The drafts."""
        return [candidate.token for candidate in self.chain]


class Drafts:
    """Lets all sources propose, and the pace choose what is drafted and whose drafts are verified.

    Proposals that are not verified are compared with what comes all the same, so that acceptance
    is learnt for nothing. The `drafter` looks past an answer for which no better chain is known,
    token by token, as long as the pace says so.
    """

    def __init__(
        self,
        pace: Pace,
        acceptance: AcceptanceModel,
        drafter: BatchDrafter | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._pace = pace
        self._acceptance = acceptance
        self._drafter = drafter
        self.note = ""
        """What became of the drafter, if it failed."""
        self._clock = clock
        self._suffixes: dict[Stream, SuffixMatch] = {}
        self._siblings: dict[int, Siblings] = {}
        self._proposals: dict[Stream, list[_Proposal]] = {}

    def propose(self, streams: Sequence[Stream], limit: int) -> list[list[int]]:
        """The drafts of each stream to verify in the next step, `limit` at most in all."""
        self._proposals.clear()
        depth = sum(len(stream.history) for stream in streams) // len(streams)
        if not self._pace.pays(len(streams), depth, limit):
            return [[] for _ in streams]
        begin = self._clock()
        best = [self._known(stream) for stream in streams]
        if self._drafter:
            self._look_further(self._drafter, streams, best, depth, limit, begin)
        self._pace.planned(self._clock() - begin)
        for stream, proposal in zip(streams, best, strict=True):
            drafter = proposal.source == Source.DRAFTER
            stream.proposer = Source.DRAFTER if drafter else Source.SUFFIX
        counts = self._pace.affordable([proposal.survival for proposal in best], depth, limit)
        return [proposal.tokens[:count] for proposal, count in zip(best, counts, strict=True)]

    def verified(self, stream: Stream, emitted: Sequence[int]) -> None:
        """A stream went on with `emitted`."""
        for proposal in self._proposals.pop(stream, ()):
            for candidate, token in zip(proposal.chain, emitted, strict=False):
                model = self._acceptance.source(proposal.source, len(candidate.features))
                model.learn(candidate.features, candidate.token == token)
                if candidate.token != token:
                    break
        if stream.task.samples > 1:
            self._siblings_of(stream).learn(stream)

    def finished(self, stream: Stream) -> None:
        """The stream has ended, or lost its room."""
        self._suffixes.pop(stream, None)
        self._proposals.pop(stream, None)
        if self._drafter:
            self._drafter.release(stream)

    def _known(self, stream: Stream) -> _Proposal:
        """The most promising chain of those that cost nothing."""
        limit = _limit(stream)
        if limit == 0:
            return _Proposal(Source.SUFFIX)
        suffixes = self._suffixes.setdefault(stream, SuffixMatch())
        chains = {str(Source.SUFFIX): suffixes.propose(stream.history, limit)}
        if stream.task.samples > 1:
            chains[Siblings.name] = self._siblings_of(stream).propose(stream.history, limit)
        made = [self._judged(stream, source, chain) for source, chain in chains.items()]
        self._proposals[stream] = made
        return max(made, key=lambda proposal: proposal.promise)

    def _judged(self, stream: Stream, source: str, chain: Sequence[Candidate]) -> _Proposal:
        proposal = _Proposal(source)
        for candidate in chain[: stream.sampler.permitted([one.token for one in chain])]:
            self._append(proposal, candidate)
        return proposal

    def _append(self, proposal: _Proposal, candidate: Candidate) -> None:
        model = self._acceptance.source(proposal.source, len(candidate.features))
        before = proposal.survival[-1] if proposal.survival else 1.0
        proposal.chain.append(candidate)
        proposal.survival.append(before * model.probability(candidate.features))

    def _siblings_of(self, stream: Stream) -> Siblings:
        # The rows that were of use last are kept.
        found = self._siblings.pop(stream.task.row, None) or Siblings()
        self._siblings[stream.task.row] = found
        if len(self._siblings) > _ROWS:
            del self._siblings[next(iter(self._siblings))]
        return found

    def _look_further(
        self,
        drafter: BatchDrafter,
        streams: Sequence[Stream],
        best: list[_Proposal],
        depth: int,
        limit: int,
        begin: float,
    ) -> None:
        """Let the drafter propose where it promises more than the `best` that is known so far."""
        promise = sum(self._usual**count for count in range(1, _COMPARED + 1))
        mine = {
            index: _Proposal(Source.DRAFTER, open=True)
            for index, stream in enumerate(streams)
            if _limit(stream) and best[index].promise < promise and drafter.takes(stream)
        }
        while any(proposal.open for proposal in mine.values()):
            prospects = [
                self._prospect(drafter, stream, mine.get(index, best[index]))
                for index, stream in enumerate(streams)
            ]
            chosen = self._pace.further(prospects, depth, limit, self._clock() - begin)
            if not chosen:
                break
            asked = [(streams[index], mine[index].tokens) for index in chosen]
            for index, candidate in zip(chosen, self._draft(drafter, asked, depth), strict=True):
                if candidate is not None:
                    self._append(mine[index], candidate)
                mine[index].open = candidate is not None and _goes_on(streams[index], mine[index])
        for index, proposal in mine.items():
            self._proposals[streams[index]].append(proposal)
            best[index] = max(proposal, best[index], key=lambda one: one.promise)

    def _prospect(self, drafter: BatchDrafter, stream: Stream, proposal: _Proposal) -> Prospect:
        growth = self._growth(proposal) if proposal.open else 0.0
        return Prospect(proposal.survival, growth, drafter.behind(stream), stream.expected)

    def _draft(
        self, drafter: BatchDrafter, asked: Sequence[tuple[Stream, list[int]]], depth: int
    ) -> list[Candidate | None]:
        """What the drafter says; nothing any more once it failed."""
        catches_up = any(drafter.behind(stream) > _LONGEST for stream, _ in asked)
        begin = self._clock()
        try:
            found = drafter.draft(asked)
        except EdgespecError as error:
            self._drafter = None
            self.note = f"the drafter failed, it is not used any more: {error}"
            return [None for _ in asked]
        if not catches_up:
            self._pace.costs.observe_draft(depth, self._clock() - begin, rows=len(asked))
        return found

    @property
    def _usual(self) -> float:
        model = self._acceptance.source(Source.DRAFTER, N_FEATURES)
        return (model.recent + model.lately) / 2

    def _growth(self, proposal: _Proposal) -> float:
        """The acceptance to expect of further drafts: what is easy here goes on for a while."""
        if not proposal.survival:
            return self._usual
        here = proposal.survival[-1] ** (1 / len(proposal.survival))
        return float(self._usual + here) / 2


def _limit(stream: Stream) -> int:
    return min(stream.limit, _LONGEST) if stream.task.request.speculate else 0


def _goes_on(stream: Stream, proposal: _Proposal) -> bool:
    """Whether more drafts after the chain can be of use."""
    return len(proposal.chain) < _limit(stream) and not stream.ends(proposal.chain[-1].token)
