"""Drafts for many answers at a time: what the text itself, or its siblings, said before."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgespec.acceptance import AcceptanceModel
from edgespec.batch.pace import Pace
from edgespec.batch.stream import Stream
from edgespec.sources.source import InstantSource
from edgespec.sources.suffix import SuffixMatch
from edgespec.tree import Candidate

_LONGEST = 16


@dataclass(slots=True)
class _Proposal:
    """What was proposed for an answer, and where it had got to."""

    at: int
    chain: list[Candidate] = field(default_factory=list)


class Drafts:
    """Proposes by suffix match, and lets the pace choose whose proposals are verified.

    Proposals that are not verified are compared with what comes all the same, so that acceptance
    is learnt while the machine is too full for drafts.
    """

    def __init__(self, pace: Pace, acceptance: AcceptanceModel) -> None:
        self._pace = pace
        self._acceptance = acceptance
        self._sources: dict[Stream, InstantSource] = {}
        self._proposals: dict[Stream, _Proposal] = {}

    def propose(self, streams: Sequence[Stream], limit: int) -> list[list[int]]:
        """The drafts of each stream to verify in the next step, `limit` at most in all."""
        depth = sum(len(stream.history) for stream in streams) // len(streams)
        if not self._pace.pays(len(streams), depth, limit):
            return [[] for _ in streams]
        chains = [self._chain(stream) for stream in streams]
        survivals = [self._survival(chain) for chain in chains]
        counts = self._pace.affordable(survivals, depth, limit)
        return [
            [candidate.token for candidate in chain[:count]]
            for chain, count in zip(chains, counts, strict=True)
        ]

    def verified(self, stream: Stream, emitted: Sequence[int]) -> None:
        """A stream went on with `emitted`."""
        proposal = self._proposals.pop(stream, None)
        if proposal is None or proposal.at + len(emitted) != len(stream.history):
            return
        for candidate, token in zip(proposal.chain, emitted, strict=False):
            model = self._acceptance.source(SuffixMatch.name, len(candidate.features))
            model.learn(candidate.features, candidate.token == token)
            if candidate.token != token:
                return

    def finished(self, stream: Stream) -> None:
        """The stream has ended, or lost its room."""
        self._sources.pop(stream, None)
        self._proposals.pop(stream, None)

    def _chain(self, stream: Stream) -> list[Candidate]:
        limit = min(stream.limit, _LONGEST) if stream.task.request.speculate else 0
        if limit == 0:
            return []
        source = self._sources.setdefault(stream, SuffixMatch())
        chain = source.propose(stream.history, limit)
        chain = chain[: stream.sampler.permitted([candidate.token for candidate in chain])]
        self._proposals[stream] = _Proposal(len(stream.history), chain)
        return chain

    def _survival(self, chain: Sequence[Candidate]) -> list[float]:
        survival, chance = [], 1.0
        for candidate in chain:
            model = self._acceptance.source(SuffixMatch.name, len(candidate.features))
            chance *= model.probability(candidate.features)
            survival.append(chance)
        return survival
