"""What sources propose beside each other: how likely each of it is held, and what it teaches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel
from edgespec.events import Source
from edgespec.proposals import Proposals
from edgespec.tree import Candidate, Node

SURE, UNSURE = (2.0, 2.0), (-2.0, -2.0)
MATCH = (0.5,)
candidates = st.lists(
    st.builds(Candidate, st.integers(0, 5), st.sampled_from([SURE, UNSURE])),
    max_size=5,
    unique_by=lambda candidate: candidate.token,
)
chains = st.lists(st.builds(Candidate, st.integers(0, 5), st.just(MATCH)), max_size=3)


def choices(*tokens: int, features: tuple[float, ...] = SURE) -> list[Candidate]:
    return [Candidate(token, features) for token in tokens]


def judges(node: Node) -> dict[int, str]:
    return {token: child.judge for token, child in node.children.items()}


def chances(node: Node) -> list[float]:
    return [child.probability for child in node.children.values()]


def proposals(alternatives: int = 3) -> Proposals:
    return Proposals(AcceptanceModel(), alternatives)


@settings(deadline=None)
@given(steps=st.lists(st.tuples(chains, candidates), max_size=6))
def test_the_chances_of_what_may_follow_never_exceed_one(
    steps: list[tuple[list[Candidate], list[Candidate]]],
) -> None:
    learner, root = proposals(), Node(9)
    for chain, answer in steps:
        learner.offer(Source.SUFFIX, root, chain)
        learner.answer(root, answer)
        assert all(0 < chance < 1 for chance in chances(root))
        assert sum(chances(root)) < 1
        assert all(child.parent is root for child in root.children.values())
        if chain:
            learner.learn(root, [chain[0].token])


def test_alternatives_share_what_is_judged_before_them_leaves() -> None:
    acceptance, root = AcceptanceModel(), Node(9)
    Proposals(acceptance, 3).answer(root, choices(5, 6, 7, 8, 4))
    assert judges(root) == {5: "drafter", 6: "drafter 2", 7: "drafter 3", 8: "drafter 4"}
    left = 1.0
    for token, judge in judges(root).items():
        chance = acceptance.source(judge, 2).probability(SURE)
        assert root.children[token].probability == pytest.approx(left * chance)
        left *= 1 - chance


def test_a_suffix_match_on_which_the_drafter_agrees_keeps_what_hangs_on_it() -> None:
    learner, root = proposals(1), Node(9)
    learner.offer(Source.SUFFIX, root, choices(5, 6, features=MATCH))
    alone, after = root.children[5].probability, root.children[5].children[6]
    learner.answer(root, choices(5, 7))
    agreed = root.children[5]
    assert judges(root) == {5: "drafter agreed", 7: "drafter 2"}
    assert (agreed.source, agreed.features) == (Source.SUFFIX, SURE)
    assert agreed.children == {6: after}
    assert agreed.probability > alone


def test_where_the_drafter_says_something_else_it_comes_first_and_the_match_second() -> None:
    learner, root = proposals(2), Node(9)
    learner.offer(Source.SUFFIX, root, choices(5, 6, features=MATCH))
    alone = root.children[5].probability
    learner.answer(root, choices(7, 5, 8))
    assert judges(root) == {7: "drafter disputed", 5: "suffix disputed", 8: "drafter 3"}
    assert root.children[5].probability < alone
    assert root.children[5].features == MATCH


def test_a_match_that_comes_after_the_drafter_takes_from_what_is_left() -> None:
    learner, root = proposals(0), Node(9)
    learner.answer(root, choices(5))
    learner.offer(Source.SUFFIX, root, choices(5, 6, features=MATCH))
    assert judges(root) == {5: "drafter"}
    assert judges(root.children[5]) == {6: "suffix"}
    learner.offer(Source.SUFFIX, root, choices(7, features=MATCH))
    assert judges(root) == {5: "drafter", 7: "suffix disputed"}


def test_a_longer_match_is_judged_anew() -> None:
    learner, root = proposals(), Node(9)
    learner.offer(Source.SUFFIX, root, choices(5, features=(0.0,)))
    before = root.children[5].probability
    learner.offer(Source.SUFFIX, root, choices(5, features=(3.0,)))
    assert root.children[5].probability > before


def test_what_is_emitted_teaches_those_who_were_judged_up_to_it() -> None:
    acceptance, root = AcceptanceModel(), Node(9)
    learner = Proposals(acceptance, 3)
    learner.answer(root, choices(5, 6, 7))
    before = {judge: acceptance.source(judge, 2).recent for judge in judges(root).values()}
    learner.learn(root, [6, 1])
    after = {judge: acceptance.source(judge, 2).recent for judge in judges(root).values()}
    assert after["drafter"] < before["drafter"]
    assert after["drafter 2"] > before["drafter 2"]
    assert after["drafter 3"] == before["drafter 3"]


def test_an_alternative_that_is_never_right_is_left_nothing() -> None:
    acceptance = AcceptanceModel()
    for _ in range(200):
        root = Node(9)
        learner = Proposals(acceptance, 1)
        learner.answer(root, choices(5, 6, features=UNSURE))
        learner.learn(root, [7])
    assert root.children[6].probability < 0.05


def test_nothing_is_proposed_where_the_context_ends() -> None:
    root = Node(9)
    proposals().answer(root, [])
    assert root.children == {}
