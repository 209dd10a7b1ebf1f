"""One simulated answer: the real scheduler and policy, driven by events of a virtual clock."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from edgespec.acceptance import AcceptanceModel
from edgespec.controller import Controller, Policy, Wait
from edgespec.costs import CostModel
from edgespec.events import Round
from edgespec.scheduler import Scheduler
from edgespec.simulation.machine import Machine
from edgespec.simulation.text import Text
from edgespec.tree import Candidate, Node
from edgespec.verification import Verification


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds for the text, its rounds, and the worst excess over 1.05 times plain decoding."""

    seconds: float
    rounds: int
    worst_excess: float


OnRound = Callable[[Round], None]


def ours(
    machine: Machine, text: Text, *, error: float = 1.0, on_round: OnRound | None = None
) -> Outcome:
    """The controller as edgespec runs it; with `error`, on a table that is wrong about batches."""
    costs = CostModel(machine.table(error), trusted=error == 1.0)
    return simulate(machine, text, Controller(costs), on_round)


def simulate(
    machine: Machine, text: Text, policy: Policy, on_round: OnRound | None = None
) -> Outcome:
    """What `policy` makes of this machine and this text; `on_round` is told of every round."""
    run = _Imagined(machine, text, policy, on_round or (lambda round_: None))
    run.execute()
    return Outcome(run.now, run.rounds, run.worst_excess)


class Speech(Protocol):
    """What the target will say: `length` tokens."""

    length: int

    def token(self, position: int) -> int: ...


class Run(ABC):
    """The agenda of the two devices: when each step ends and what it will bring."""

    def __init__(
        self,
        machine: Machine,
        text: Speech,
        policy: Policy,
        on_round: OnRound = lambda round_: None,
        acceptance: AcceptanceModel | None = None,
    ) -> None:
        self._machine = machine
        self._text = text
        self._on_round = on_round
        self._limit = machine.max_batch - 1
        self._scheduler = Scheduler(
            policy,
            acceptance or AcceptanceModel(),
            max_drafts=self._limit,
            branching=machine.trees and not machine.replays,
            replays=machine.replays,
        )
        self._scheduler.prepared = True
        self.now = 0.0
        self.rounds = 0
        self.worst_excess = 0.0
        self._position = 0
        self._checked = Verification(0)
        self._verify_began = 0.0
        self._verify_end = inf
        self._expanding: list[tuple[Node, Sequence[Candidate] | None]] = []
        self._draft_began = 0.0
        self._drafting: list[tuple[float, float]] = []
        self._draft_end = inf

    @abstractmethod
    def look_past(self, nodes: Sequence[Node]) -> Sequence[Sequence[Candidate] | None]:
        """What the drafter will say after each of `nodes`; None where it has no room for one."""

    def offer(self) -> None:  # noqa: B027
        """Let sources that need no model propose something to the scheduler, before each plan."""

    def said(self, tokens: Sequence[int]) -> None:  # noqa: B027
        """The target emitted `tokens`."""

    def execute(self) -> None:
        """Run until the text is complete."""
        self._scheduler.start(self._text.token(0), 0, 0.0, self._limit)
        while self._position < self._text.length:
            # The drafter first, so that the target knows whether more drafts can come; and again,
            # because what it may do depends on what the target does.
            self._start_drafting()
            self._start_verifying()
            self._start_drafting()
            self.now = min(self._verify_end, self._draft_end)
            if self.now == self._verify_end:
                self._end_verifying()
            else:
                self._end_drafting()

    def _start_verifying(self) -> None:
        if self._verify_end < inf:
            return
        drafting = self._draft_end < inf
        self.offer()
        can_wait = drafting or self._scheduler.drafter_has_work
        batch = self._scheduler.next_batch(self.now, can_wait=can_wait)
        if isinstance(batch, Wait):
            return
        self._checked = self._check(batch)
        self._verify_began = self.now
        seconds = self._machine.verify(len(batch) + 1)
        if self._machine.replays and (kept := len(self._checked.emitted)) <= len(batch):
            seconds += self._machine.verify(kept)
        together = min(self._draft_end - self.now, seconds) if drafting else 0.0
        self._verify_end = self.now + seconds + (self._machine.verify_contention - 1) * together

    def _check(self, drafts: Sequence[Node]) -> Verification:
        """What the target will say to these drafts."""
        batch = Verification(self._scheduler.root.token, drafts)
        position = self._position
        while batch.row is not None:
            position += 1
            batch.emit(self._text.token(position))
        return batch

    def _end_verifying(self) -> None:
        emitted = self._checked.emitted
        self._position += len(emitted)
        self._verify_end = inf
        self.rounds += 1
        self._tell()
        seconds = self.now - self._verify_began
        self._scheduler.verified(emitted, seconds, self.now, self._limit)
        self.said(emitted)
        plain = self._position * self._machine.verify(1)
        self.worst_excess = max(self.worst_excess, self.now - 1.05 * plain)

    def _tell(self) -> None:
        checked, verify = self._checked, (self._verify_began, self.now)
        drafting = tuple(self._drafting)
        counts = len(checked.drafts), checked.accepted, checked.depth
        self._on_round(Round(self.rounds, *counts, verify, drafting))
        self._drafting.clear()

    def _start_drafting(self) -> None:
        if self._draft_end < inf or not (nodes := self._scheduler.next_expansion()):
            return
        self._expanding = list(zip(nodes, self.look_past(nodes), strict=True))
        step = self._machine.draft * (1 + self._machine.draft_row * (len(nodes) - 1))
        if self._verify_end < inf:
            together = min(step, self._verify_end - self.now)
            step += (self._machine.draft_contention - 1) * together
            self._verify_end += (self._machine.verify_contention - 1) * together
        self._draft_began = self.now
        self._draft_end = self.now + step

    def _end_drafting(self) -> None:
        for node, candidates in self._expanding:
            node.expanding = False
            if candidates is not None:
                self._scheduler.expanded(node, candidates)
        self._drafting.append((self._draft_began, self.now))
        self._draft_end = inf


class _Imagined(Run):
    """The drafter's choices are imagined, too."""

    def __init__(self, machine: Machine, text: Text, policy: Policy, on_round: OnRound) -> None:
        super().__init__(machine, text, policy, on_round)
        self._drafter = text

    def look_past(self, nodes: Sequence[Node]) -> list[Sequence[Candidate] | None]:
        places = map(self._place, nodes)
        return [self._drafter.candidates(at + 1, true_path=right) for at, right in places]

    def _place(self, node: Node) -> tuple[int, bool]:
        """The node's position in the text, and whether its path is what the target will say."""
        position, right = self._position, True
        for step in node.path():
            position += 1
            right = right and step.token == self._text.token(position)
        return position, right
