"""The scheduler's decisions on trees made by hand: no thread, no clock, no model."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel, SourceModel
from edgespec.controller import Outlook, Verify, Wait
from edgespec.events import Source
from edgespec.scheduler import Scheduler
from edgespec.tree import Candidate, Node
from tests.policies import Told

GOOD, BAD = (2.0, 2.0), (-3.0, -3.0)
LIMIT = 8


class Watching(Told):
    """Told how many drafts to verify; remembers what it was asked."""

    def __init__(self, lengths: Iterable[int] = (LIMIT,), *, overlap: bool = True) -> None:
        super().__init__(lengths, overlap=overlap)
        self.seen: list[Outlook] = []

    def plan(self, outlook: Outlook) -> Verify | Wait:
        self.seen.append(outlook)
        return super().plan(outlook)


class Lessons(AcceptanceModel):
    """Remembers which features were learnt, as accepted or not."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt: list[tuple[tuple[float, ...], bool]] = []

    def source(self, name: str, n_features: int, prior: float | None = None) -> SourceModel:
        lessons, known = self, super().source(name, n_features, prior)

        class Pupil(SourceModel):
            def learn(self, features: tuple[float, ...], accepted: bool) -> None:
                lessons.learnt.append((features, accepted))

        return Pupil(known.weights, known.squares, known.recent, known.lately)


def begun(
    policy: Watching | None = None,
    acceptance: AcceptanceModel | None = None,
    *,
    drafting: bool = True,
    rows: int = 12,
) -> Scheduler:
    scheduler = Scheduler(
        policy or Watching(),
        acceptance or AcceptanceModel(),
        max_drafts=LIMIT,
        rows=rows,
        drafting=drafting,
    )
    scheduler.start(1, 10, 0.0, LIMIT)
    return scheduler


def drafts(*tokens: int, features: tuple[float, ...] = GOOD) -> list[Candidate]:
    """The drafter's choices after one node, or a source's chain."""
    return [Candidate(token, features) for token in tokens]


def batch(scheduler: Scheduler, *, can_wait: bool = False) -> list[Node]:
    decision = scheduler.next_batch(0.0, can_wait=can_wait)
    assert not isinstance(decision, Wait)
    return decision


def tokens(nodes: Iterable[Node]) -> list[int]:
    return [node.token for node in nodes]


def draft_chain(scheduler: Scheduler, *chain: int) -> None:
    """Let the drafter look past the best path, once per token of the chain."""
    for token in chain:
        nodes = scheduler.next_expansion()
        assert nodes
        for index, node in enumerate(nodes):
            scheduler.expanded(node, drafts(token) if index == 0 else [])


def test_before_the_first_token_there_is_nothing_to_look_past() -> None:
    scheduler = Scheduler(Watching(), AcceptanceModel(), max_drafts=LIMIT)
    assert scheduler.next_expansion() == []
    assert not scheduler.drafter_has_work


def test_the_drafter_begins_at_the_last_token_and_is_not_sent_twice() -> None:
    scheduler = begun()
    assert scheduler.drafter_has_work
    assert scheduler.next_expansion() == [scheduler.root]
    assert scheduler.next_expansion() == []
    assert not scheduler.drafter_has_work


def test_the_likeliest_chain_is_verified_as_far_as_the_policy_says() -> None:
    scheduler = begun(Watching([2]))
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(7, 8, 9))
    assert tokens(batch(scheduler)) == [7, 8]


def test_the_policy_is_shown_the_survival_of_each_draft_and_what_waiting_may_bring() -> None:
    policy = Watching([3])
    scheduler = begun(policy)
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(7, 8, 9))
    scheduler.next_batch(2.5, can_wait=True)
    [outlook] = policy.seen
    first, second, third = outlook.survival
    assert 1 > first > second > third > 0
    assert second == pytest.approx(first**2)
    assert 0 < outlook.growth < 1
    assert (outlook.limit, outlook.depth, outlook.waited) == (LIMIT, 10, 2.5)


def test_nothing_more_is_expected_of_a_drafter_that_cannot_work() -> None:
    for can_wait, drafting in ((False, True), (True, False), (False, False)):
        policy = Watching()
        scheduler = begun(policy, drafting=drafting)
        scheduler.offer(Source.SUFFIX, scheduler.root, drafts(7, 8))
        assert tokens(batch(scheduler, can_wait=can_wait)) == [7, 8]
        assert (policy.seen[0].growth, policy.seen[0].limit) == (0.0, 2)


def test_no_more_is_verified_than_the_caller_and_the_context_allow() -> None:
    scheduler = begun()
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(*range(20)))
    assert tokens(batch(scheduler)) == list(range(LIMIT))
    scheduler.verified([0], 0.5, 0.5, 3)
    assert tokens(batch(scheduler)) == [1, 2, 3]


def test_what_is_too_unlikely_is_not_looked_past() -> None:
    scheduler = begun()
    [root] = scheduler.next_expansion()
    scheduler.expanded(root, drafts(5, 6, 7, features=GOOD))
    chosen = tokens(scheduler.next_expansion())
    assert chosen[0] == 5
    assert 7 not in chosen


def test_a_batch_has_at_most_as_many_rows_as_allowed_the_likeliest_first() -> None:
    scheduler = begun(rows=3)
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(2, 3, 4, 5, 6))
    assert tokens(scheduler.next_expansion()) == [1, 2, 3]
    assert tokens(scheduler.next_expansion()) == [4, 5, 6]


def test_cheap_drafts_are_checked_by_the_drafter_in_one_step_and_corrected() -> None:
    scheduler = begun(Watching([4]))
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(5, 6, 7, 8, features=(0.5, 0.5)))
    chosen = scheduler.next_expansion()
    assert [node.token for node in chosen] == [1, 5, 6, 7, 8]
    for node, choice in zip(chosen, (5, 6, 9, 3, 3), strict=True):
        scheduler.expanded(node, drafts(choice))
    assert [node.token for node in batch(scheduler)] == [5, 6, 9]


def test_where_both_share_their_cores_drafts_are_checked_before_they_are_verified() -> None:
    class Careful(Watching):
        def plan(self, outlook: Outlook) -> Verify | Wait:
            super().plan(outlook)
            return Wait(3, 1.0) if outlook.unchecked > 1 else Verify(3)

    policy = Careful(overlap=False)
    scheduler = begun(policy)
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(5, 6, 7, 8, features=(0.5,)))
    assert scheduler.next_expansion() == []
    assert isinstance(scheduler.next_batch(0.0, can_wait=True), Wait)
    chosen = scheduler.next_expansion()
    assert tokens(chosen) == [1, 5, 6]
    for node, choice in zip(chosen, (5, 6, 7), strict=True):
        scheduler.expanded(node, drafts(choice))
    assert scheduler.next_expansion() == []
    assert tokens(batch(scheduler, can_wait=True)) == [5, 6, 7]
    assert [outlook.unchecked for outlook in policy.seen] == [4, 1]


def test_while_the_target_works_the_drafter_works_if_that_pays() -> None:
    scheduler = begun(Watching(overlap=True))
    draft_chain(scheduler, 5)
    batch(scheduler)
    assert scheduler.drafter_has_work
    assert scheduler.next_expansion()


def test_if_that_does_not_pay_it_works_only_for_what_the_target_waits_for() -> None:
    scheduler = begun(Watching([2, 0], overlap=False))
    assert scheduler.next_expansion() == []
    assert scheduler.drafter_has_work
    for token in (5, 6):
        assert isinstance(scheduler.next_batch(0.0, can_wait=True), Wait)
        assert scheduler.next_expansion() == [scheduler.root.best or scheduler.root]
        tip = scheduler.root.best or scheduler.root
        scheduler.expanded(tip, drafts(token, token + 10))
    assert scheduler.next_expansion() == []
    assert tokens(batch(scheduler, can_wait=True)) == [5, 6]
    assert scheduler.next_expansion() == []
    scheduler.verified([5, 9], 0.5, 0.5, LIMIT)
    assert scheduler.next_expansion() == []
    assert batch(scheduler, can_wait=True) == []
    assert scheduler.next_expansion() == []


def test_a_hit_keeps_what_was_drafted_ahead() -> None:
    scheduler = begun(Watching([1]))
    draft_chain(scheduler, 5, 6, 7)
    assert tokens(batch(scheduler)) == [5]
    scheduler.verified([5, 6], 0.5, 0.5, LIMIT)
    assert scheduler.root.token == 6
    assert tokens(batch(scheduler)) == [7]


def test_a_miss_begins_anew_after_the_correction() -> None:
    scheduler = begun(Watching([2]))
    draft_chain(scheduler, 5, 6, 7)
    batch(scheduler)
    scheduler.verified([5, 9], 0.5, 0.5, LIMIT)
    assert (scheduler.root.token, scheduler.root.children) == (9, {})
    assert scheduler.next_expansion() == [scheduler.root]


def test_a_round_is_reported_as_it_was() -> None:
    policy = Watching([2])
    scheduler = begun(policy)
    draft_chain(scheduler, 5, 6, 7)
    batch(scheduler)
    scheduler.verified([5, 9], 0.5, 0.75, LIMIT)
    [done] = policy.rounds
    assert (done.seconds, done.drafts, done.tokens) == (0.75, 2, 2)
    batch(scheduler)
    assert policy.seen[-1].depth == 12


def test_a_node_that_was_dropped_meanwhile_gets_no_children() -> None:
    scheduler = begun(Watching([1], overlap=True))
    draft_chain(scheduler, 5)
    batch(scheduler)
    [leaf] = scheduler.next_expansion()
    scheduler.verified([9], 0.5, 0.5, LIMIT)
    assert not scheduler.expanded(leaf, drafts(6))
    assert scheduler.root.children == {}
    assert batch(scheduler) == []


def test_a_node_that_became_the_root_meanwhile_keeps_its_drafts() -> None:
    scheduler = begun(Watching([1], overlap=True))
    draft_chain(scheduler, 5)
    batch(scheduler)
    [leaf] = scheduler.next_expansion()
    scheduler.verified([5], 0.5, 0.5, LIMIT)
    assert scheduler.expanded(leaf, drafts(6))
    assert scheduler.root is leaf
    assert tokens(batch(scheduler)) == [6]


def test_drafts_teach_up_to_the_first_surprise_and_no_further() -> None:
    lessons = Lessons()
    scheduler = begun(Watching([3]), lessons)
    chain = [Candidate(token, (float(token), 0.0)) for token in (5, 6, 7, 8)]
    scheduler.offer(Source.DRAFTER, scheduler.root, chain)
    batch(scheduler)
    scheduler.verified([5, 9], 0.5, 0.5, LIMIT)
    assert lessons.learnt == [((5.0, 0.0), True), ((6.0, 0.0), False)]


def test_after_a_surprise_even_tokens_that_were_drafted_teach_nothing() -> None:
    lessons = Lessons()
    scheduler = begun(Watching([3]), lessons)
    scheduler.offer(Source.DRAFTER, scheduler.root, drafts(5, 6, 7))
    batch(scheduler)
    scheduler.verified([9, 6, 7], 0.5, 0.5, LIMIT)
    assert lessons.learnt == [(GOOD, False)]


def test_drafts_that_were_not_verified_teach_as_well() -> None:
    lessons = Lessons()
    scheduler = begun(Watching([0]), lessons)
    scheduler.offer(Source.DRAFTER, scheduler.root, drafts(5, 6))
    assert batch(scheduler) == []
    scheduler.verified([5], 0.5, 0.5, LIMIT)
    assert lessons.learnt == [(GOOD, True)]


@settings(deadline=None)
@given(
    chances=st.lists(st.sampled_from([GOOD, BAD]), max_size=LIMIT - 1),
    answers=st.lists(st.integers(0, 3), min_size=LIMIT, max_size=LIMIT),
)
def test_a_target_that_waits_is_always_given_a_longer_path(
    chances: list[tuple[float, ...]], answers: list[int]
) -> None:
    scheduler = begun(Watching([LIMIT]))
    chain = [Candidate(20 + index, features) for index, features in enumerate(chances)]
    scheduler.offer(Source.SUFFIX, scheduler.root, chain)
    for _ in range(200):
        decision = scheduler.next_batch(0.0, can_wait=scheduler.drafter_has_work)
        if not isinstance(decision, Wait):
            break
        nodes = scheduler.next_expansion()
        assert nodes, "the target waits for a drafter that rests"
        for index, node in enumerate(nodes):
            count = answers[index % LIMIT] + 1
            scheduler.expanded(node, drafts(*range(count), features=BAD))
    assert isinstance(decision, list)
    assert len(decision) == LIMIT


def test_waiting_sends_the_drafter_to_the_end_of_the_path_however_unlikely_it_is() -> None:
    scheduler = begun(Watching([LIMIT]))
    scheduler.offer(Source.SUFFIX, scheduler.root, drafts(5, 6, 7, features=BAD))
    assert 7 not in tokens(worth_looking_past(scheduler))
    assert isinstance(scheduler.next_batch(0.0, can_wait=True), Wait)
    assert 7 in tokens(scheduler.next_expansion())


def worth_looking_past(scheduler: Scheduler) -> list[Node]:
    """What the drafter would look past now; it is not told."""
    nodes = scheduler.next_expansion()
    for node in nodes:
        node.expanding = False
    return nodes


def test_a_drafter_that_is_gone_is_not_waited_for() -> None:
    scheduler = begun()
    assert isinstance(scheduler.next_batch(0.0, can_wait=True), Wait)
    scheduler.drafting = False
    assert scheduler.next_expansion() == []
    assert batch(scheduler, can_wait=True) == []


def test_where_the_context_ends_there_is_no_more_work() -> None:
    scheduler = begun()
    [root] = scheduler.next_expansion()
    assert scheduler.expanded(root, [])
    assert not scheduler.drafter_has_work
    assert batch(scheduler) == []


def test_what_was_decoded_again_is_not_taken_for_the_cost_of_a_batch() -> None:
    policy = Watching([4])
    for _ in range(3):
        scheduler = Scheduler(policy, AcceptanceModel(), max_drafts=LIMIT, replays=True)
        scheduler.start(1, 10, 0.0, LIMIT)
        scheduler.offer(Source.SUFFIX, scheduler.root, drafts(2, 3, 4, 5))
        batch(scheduler)
        seconds = policy.costs.verify(5, 10) + policy.costs.verify(2, 10)
        scheduler.verified([2, 9], seconds, seconds, LIMIT)
    assert policy.costs.verify(5, 10) == pytest.approx(Told([]).costs.verify(5, 10))
    assert policy.seen[-1].replays
