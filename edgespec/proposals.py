"""What the sources propose after one token, and how likely each of it is beside the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from edgespec.acceptance import AcceptanceModel
from edgespec.events import Source
from edgespec.tree import Candidate, Features, Node

_AGREED, _DISPUTED = " agreed", " disputed"
_ALTERNATIVE = 0.3
_PRIORS = {_AGREED: 0.9, _DISPUTED: 0.4}


class Proposals:
    """Hangs what is proposed into a draft tree, and learns from what is emitted.

    The children of a node stand in the order in which they are judged, each by a model of the
    chance that it is right if all before it are wrong, P(i) = p_i (1 - p_1) ... (1 - p_{i-1}).
    Which model that is depends on who proposes it and on what the others say: where two sources
    differ, one of them is wrong. `alternatives` of the drafter's choices are kept beside its first.
    """

    def __init__(self, acceptance: AcceptanceModel, alternatives: int) -> None:
        self._acceptance = acceptance
        self.alternatives = alternatives

    def offer(self, source: Source, parent: Node, chain: Sequence[Candidate]) -> None:
        """A source that needs no model proposes a chain of tokens after `parent`."""
        for candidate in chain:
            known = parent.children.get(candidate.token)
            if known is None:
                judge = source + (_DISPUTED if parent.children else "")
                left = 1 - sum(child.probability for child in parent.children.values())
                known = Node(candidate.token, parent, source=source)
                parent.children[candidate.token] = known
                self._judge(known, judge, candidate.features, left)
            elif known.judge == source:
                self._judge(known, source, candidate.features, 1.0)
            parent = known

    def answer(self, node: Node, candidates: Sequence[Candidate]) -> None:
        """The drafter looked past `node`; its `candidates`, the likeliest first, go before all."""
        if not candidates:
            return
        offered, node.children, left = node.children, {}, 1.0
        for judge, candidate in self._ranked(offered, candidates):
            token = candidate.token
            if token not in node.children:
                child = offered.get(token) or Node(token, node, source=Source.DRAFTER)
                node.children[token] = child
                left -= self._judge(child, judge, candidate.features, left)

    def learn(self, root: Node, tokens: Iterable[int]) -> None:
        """Compare what was proposed with what was emitted, verified or not, up to a surprise."""
        node: Node | None = root
        for token in tokens:
            if node is None:
                return
            for child in node.children.values():
                model = self._acceptance.source(child.judge, len(child.features))
                model.learn(child.features, child.token == token)
                if child.token == token:
                    break
            node = node.children.get(token)

    def _ranked(
        self, offered: Mapping[int, Node], candidates: Sequence[Candidate]
    ) -> Iterator[tuple[str, Candidate]]:
        """By whom what is judged: the drafter's first choice, what others say, its others."""
        first, *others = candidates[: self.alternatives + 1]
        said = "" if not offered else _AGREED if first.token in offered else _DISPUTED
        yield Source.DRAFTER + said, first
        for node in offered.values():
            yield node.source + _DISPUTED, Candidate(node.token, node.features)
        for rank, other in enumerate(others, start=2):
            yield f"{Source.DRAFTER} {rank}", other

    def _judge(self, node: Node, judge: str, features: Features, left: float) -> float:
        """Set how likely `node` is, if all that is judged before leaves it `left`; that chance."""
        node.judge, node.features = judge, features
        model = self._acceptance.source(judge, len(features), _prior(judge))
        node.probability = left * model.probability(features)
        return node.probability


def _prior(judge: str) -> float | None:
    """What to expect of a judge that has seen nothing; None for a source by itself."""
    said = judge[judge.find(" ") :] if " " in judge else ""
    return _PRIORS.get(said, _ALTERNATIVE) if said else None
