"""Who works on what: the pure state that the target and the drafter share during one answer."""

from collections.abc import Sequence
from itertools import takewhile

from edgespec.acceptance import AcceptanceModel
from edgespec.controller import Outlook, Policy, Wait
from edgespec.events import Source
from edgespec.proposals import Proposals
from edgespec.sources.drafter import N_FEATURES
from edgespec.tree import Candidate, DraftTree, Node, survivals

_WORTH_DRAFTING = 0.015
_AHEAD = 2
"""Batches ahead that the drafter may be: what is being verified, and the next."""
_MEMORY = 0.9


class Scheduler:
    """Decides what each device does next; told of everything that happens, and of the time.

    It holds no thread, no clock and no model, so that the real threads, the simulator and the
    tests run the same decisions. The caller serialises the calls.
    """

    def __init__(
        self,
        controller: Policy,
        acceptance: AcceptanceModel,
        *,
        max_drafts: int,
        rows: int = 12,
        alternatives: int = 3,
        drafting: bool = True,
        branching: bool = False,
        replays: bool = False,
    ) -> None:
        self._controller = controller
        self._acceptance = acceptance
        self._proposals = Proposals(acceptance, alternatives)
        self._max_drafts = max_drafts
        self._rows = rows
        self._branching = branching
        self._replays = replays
        self.alternatives = alternatives
        self.drafting = drafting
        """False once there is no drafter (any more)."""
        self.prepared = False
        """True once the drafter has decoded the prompt."""
        self._tree = DraftTree(0)
        self._started = False
        self._depth = 0
        self._limit = 0
        self._round_began = 0.0
        self._verifying: list[Node] | None = None
        self._beside = False
        self._wanted = 0
        self._waiting_since: float | None = None
        self._waited = 0.0
        self._resting = False
        self._usual_drafts = 3.0
        self._hit_rate = 0.6

    @property
    def plain_step(self) -> float:
        """Seconds of one plain step here, as measured."""
        return self._controller.costs.verify(1, self._depth)

    @property
    def root(self) -> Node:
        """The last emitted token."""
        return self._tree.root

    def start(self, token: int, depth: int, now: float, limit: int) -> None:
        """The answer's first token was emitted after `depth` positions; drafts may follow it."""
        self._controller.start()
        self._tree = DraftTree(token)
        self._started = True
        self._open_round(depth, now, limit)

    def offer(self, source: Source, parent: Node, chain: Sequence[Candidate]) -> None:
        """A source that needs no model proposes a chain of tokens after `parent`."""
        self._proposals.offer(source, parent, chain)

    def next_batch(self, now: float, *, can_wait: bool) -> list[Node] | Wait:
        """The drafts that the idle target shall verify now, or how long to wait for more.

        They are a path, or a tree in which each comes after its parent, the best path first.
        `can_wait` says that the drafter is at work.
        """
        self._resting = False
        path = self._tree.best_path()[: self._limit]
        survival = survivals(path)
        growth, limit = 0.0, len(path)
        if self.drafting and can_wait:
            growth, limit = self._growth(survival), self._limit
        likeliest = self._tree.likeliest(self._limit) if self._branching else []
        outlook = Outlook(
            survival,
            growth,
            limit,
            self._depth,
            now - self._round_began,
            self.prepared,
            [chance for chance, _ in likeliest],
            self._replays,
            self._unchecked(path),
        )
        decision = self._controller.plan(outlook)
        if isinstance(decision, Wait):
            self._wanted = decision.drafts
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
            return decision
        self._wanted = 0
        if self._waiting_since is not None:
            self._waited, self._waiting_since = now - self._waiting_since, None
        self._verifying = path[: decision.drafts]
        if decision.branching:
            chosen = {node for _, node in likeliest[: decision.drafts]}
            self._verifying = self._tree.in_order(chosen)
        return self._verifying

    def verified(self, tokens: Sequence[int], seconds: float, now: float, limit: int) -> None:
        """The target emitted `tokens` in answer to the last batch, which took it `seconds`."""
        drafts = self._verifying or []
        round_ = now - self._round_began
        # Planning is part of what a verification costs, and of what a plain step does not.
        cost = round_ - self._waited if drafts else seconds
        if self._replays and len(tokens) <= len(drafts):
            cost = max(cost - self._controller.costs.verify(len(tokens), self._depth), cost / 2)
        self._controller.costs.observe_verify(
            len(drafts) + 1, self._depth, cost, contended=self._beside
        )
        self._proposals.learn(self._tree.root, tokens)
        self._controller.finished(round_, seconds, len(drafts), len(tokens), self._depth)
        if drafts:
            self._usual_drafts += (1 - _MEMORY) * (len(drafts) - self._usual_drafts)
        hit = self._tree.reroot(tokens) and self._tree.root.expanded
        self._hit_rate += (1 - _MEMORY) * (hit - self._hit_rate)
        self._open_round(self._depth + len(tokens), now, limit)
        self._resting = self.rest > 0

    @property
    def rest(self) -> int:
        """Plain steps that may pass before `next_batch` is asked again."""
        return self._controller.rest

    def rested(self, tokens: Sequence[int], now: float, limit: int) -> None:
        """The target emitted `tokens` one by one, without a plan."""
        round_ = now - self._round_began
        step = round_ / len(tokens)
        self._controller.costs.observe_verify(1, self._depth, step)
        self._controller.finished(round_, step, 0, len(tokens), self._depth)
        self._tree.reroot(tokens)
        self._open_round(self._depth + len(tokens), now, limit)

    def next_expansion(self) -> list[Node]:
        """The nodes that the idle drafter shall look past now, in one batch; none to rest."""
        chosen = self._worth_expanding()
        for node in chosen:
            node.expanding = True
        self._beside = self._beside or bool(chosen and self._verifying is not None)
        return chosen

    @property
    def drafter_has_work(self) -> bool:
        """True if there would be something to look past while the target waits."""
        if not (self._started and self.drafting):
            return False
        return _is_open(self._tree.tip) or bool(self._worth_expanding())

    def _worth_expanding(self) -> list[Node]:
        if not (self._started and self.drafting) or self._resting:
            return []
        tip = self._tree.tip
        if not self._controller.overlaps(self._usual_drafts, self._hit_rate, self._depth):
            # What the target does not wait for would only slow it down.
            return self._awaited()
        # A further row delays the others by its cost, which hurts more while the target waits.
        row = self._controller.costs.table.draft_row
        least = max(_WORTH_DRAFTING, row if self._verifying is not None else 1.5 * row)
        depth = _AHEAD * self._max_drafts
        leaves = [node for _, node in self._tree.leaves(least, depth)]
        awaited = [tip] if self._wanted and _is_open(tip) and tip not in leaves else []
        return awaited + leaves[: self._rows]

    def _awaited(self) -> list[Node]:
        """What the drafter must look past until so many drafts as wanted are ready and checked."""
        if not self._wanted:
            return []
        path = [self._tree.root, *self._tree.best_path()][: self._wanted]
        return [node for node in path if _is_open(node)][: self._rows]

    def _unchecked(self, path: Sequence[Node]) -> int:
        """How many drafts at the end of the path the drafter was not asked for."""
        looked = list(takewhile(lambda node: node.expanded, (self._tree.root, *path[:-1])))
        return len(path) - min(len(looked), len(path))

    def expanded(self, node: Node, candidates: Sequence[Candidate]) -> bool:
        """The drafter looked past `node`; False if the node has meanwhile been dropped."""
        node.expanding = False
        if not self._tree.holds(node):
            return False
        node.expanded = True
        self._proposals.answer(node, candidates)
        return True

    def _growth(self, survival: Sequence[float]) -> float:
        """The acceptance to expect of further drafts: what is easy here goes on for a while."""
        model = self._acceptance.source(Source.DRAFTER, N_FEATURES)
        usual = (model.recent + model.lately) / 2
        here = survival[-1] ** (1 / len(survival)) if survival else usual
        return (usual + here) / 2

    def _open_round(self, depth: int, now: float, limit: int) -> None:
        self._verifying = None
        self._beside = False
        self._wanted = 0
        self._waiting_since = None
        self._waited = 0.0
        self._depth = depth
        self._limit = min(limit, self._max_drafts)
        self._round_began = now


def _is_open(node: Node) -> bool:
    return not (node.expanded or node.expanding)
