from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.errors import BackendError
from edgespec.protocols import Logits
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import TIE_EPSILON, Choice, Sampler
from tests.fakes import FakeGrammar
from tests.unit.sampling.reference import (
    AllowList,
    chances,
    choice,
    processed,
    random_params,
    random_row,
)

OFF = SamplingParams(top_k=0, top_p=1, min_p=0)
GREEDY = SamplingParams(temperature=0)


def row(*logits: float) -> Logits:
    return np.array(logits, np.float32)


def normal_rows(count: int, size: int, seed: int = 0) -> Logits:
    return np.random.default_rng(seed).normal(0, 2, (count, size)).astype(np.float32)


@pytest.mark.parametrize("seed", range(10))
def test_the_choice_equals_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    for position, size in enumerate(random.choice([1, 2, 3, 30, 200], 50).tolist()):
        logits, params = random_row(random, size), random_params(random, size)
        history = random.integers(0, size, 10).tolist()
        grammar = AllowList(np.flatnonzero(random.random(size) < 0.5)) if seed % 2 else None
        scores = processed(logits, params, history, grammar.allowed if grammar else None)
        if scores:
            chosen = Sampler(params, history, grammar=grammar).choose(logits, position)
            assert chosen.token == choice(scores, params, position)
            assert chosen.tie == (chosen.margin <= TIE_EPSILON)


MIXTURES = {
    "temperature": (OFF, ()),
    "default": (SamplingParams(top_k=7), ()),
    "penalties": (
        replace(
            OFF,
            typical_p=0.9,
            repeat_penalty=1.3,
            frequency_penalty=0.3,
            presence_penalty=-0.2,
            logit_bias={4: 1.0, 5: -inf},
        ),
        (1, 1, 2, 4),
    ),
}


@pytest.mark.parametrize("temperature", [0.7, 1.0])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_tokens_follow_the_processed_distribution(mixture: str, temperature: float) -> None:
    params, history = MIXTURES[mixture]
    params = replace(params, temperature=temperature, seed=11)
    logits = row(1.5, 1.0, 0.8, 0.3, -0.2, 2.0, -1.0, 0.0, -0.5, 0.9)
    count = 20_000
    sampler = Sampler(params, history)
    drawn = Counter(sampler.choose(logits, position).token for position in range(count))
    wanted = chances(logits, params, history)
    assert drawn.keys() <= wanted.keys()
    statistic = sum((drawn[token] - count * p) ** 2 / (count * p) for token, p in wanted.items())
    assert statistic < chi_square_quantile(len(wanted) - 1)


def chi_square_quantile(degrees: int) -> float:
    """Exceeded with probability 1e-4, after Wilson and Hilferty's approximation."""
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + 3.719 * sqrt(spread)) ** 3


@given(positions=st.lists(st.integers(0, 10**6), min_size=1, max_size=10), seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_choice_depends_on_nothing_but_its_position(positions: list[int], seed: int) -> None:
    params = SamplingParams(seed=seed, repeat_penalty=1.2)
    logits = normal_rows(1, 50)[0]
    asked_often = Sampler(params, [1, 2])
    for position in positions:
        chosen = asked_often.choose(logits, position)
        assert chosen == Sampler(params, [1, 2]).choose(logits, position)
        assert chosen == asked_often.fork().choose(logits, position)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"choice": 1}, {"shift": 1}], ids=["seed", "choice", "position"]
)
def test_another_seed_choice_or_position_draws_anew(other: dict[str, int]) -> None:
    logits, shift = np.zeros(50, np.float32), other.get("shift", 0)
    base = Sampler(OFF, [])
    varied = Sampler(replace(OFF, seed=other.get("seed", 0)), [], choice=other.get("choice", 0))
    equal = [
        base.choose(logits, position).token == varied.choose(logits, position + shift).token
        for position in range(500)
    ]
    assert 0 < sum(equal) < 30


def generate(sampler: Sampler, rows: Logits, start: int) -> list[int]:
    tokens = []
    for position, logits in enumerate(rows, start):
        tokens.append(sampler.choose(logits, position).token)
        sampler.accept(tokens[-1])
    return tokens


@pytest.mark.parametrize("looks_ahead", [0, 1, 5])
def test_a_drafter_that_looks_ahead_does_not_change_the_text(looks_ahead: int) -> None:
    params = SamplingParams(repeat_penalty=1.5, frequency_penalty=0.5, penalty_window=6)
    rows, guesses = normal_rows(40, 12), normal_rows(40, 12, seed=1)
    sampler, tokens = Sampler(params, [1, 2], grammar=AllowList(range(11))), []
    for position, logits in enumerate(rows):
        generate(sampler.fork(), guesses[:looks_ahead], position)
        tokens.append(sampler.choose(logits, position).token)
        sampler.accept(tokens[-1])
    assert tokens == generate(Sampler(params, [1, 2], grammar=AllowList(range(11))), rows, 0)


def test_a_fork_shares_no_grammar_and_no_history() -> None:
    grammar = AllowList([0, 1])
    sampler = Sampler(replace(GREEDY, presence_penalty=2), [], grammar=grammar)
    fork = sampler.fork()
    fork.accept(0)
    assert grammar.accepted == []
    assert fork.choose(row(1, 0, 9), 0).token == 1
    assert sampler.choose(row(1, 0, 9), 0).token == 0
    sampler.accept(1)
    assert grammar.accepted == [1]


def match_rate(mine: Sequence[Choice], others: Sequence[Choice]) -> float:
    return float(np.mean([a.token == b.token for a, b in zip(mine, others, strict=True)]))


def test_the_same_noise_makes_a_drafter_match_more_often_than_any_other_draft() -> None:
    count, size = 1500, 30
    targets = normal_rows(count, size)
    drafts = targets + 0.35 * normal_rows(count, size, seed=1)
    target, coupled = Sampler(OFF, []), Sampler(OFF, [])
    emitted = [target.choose(logits, t) for t, logits in enumerate(targets)]
    independent = Sampler(OFF, [], choice=1)
    greedy = Sampler(GREEDY, [])
    rates = [
        match_rate(emitted, [drafter.choose(logits, t) for t, logits in enumerate(drafts)])
        for drafter in (coupled, independent, greedy)
    ]
    assert rates[0] > 1.3 * max(rates[1:])
    p, q = (np.exp(rows / OFF.temperature) for rows in (targets, drafts))
    assert abs(rates[0] - coupling(p, q)) < 4 * sqrt(0.25 / count)


def coupling(p: Logits, q: Logits) -> float:
    """The mean match rate that Daliri et al. 2408.07978 derive for Gumbel sampling."""
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    ratios = np.maximum(p[:, None] / p[:, :, None], q[:, None] / q[:, :, None])
    return float((1 / ratios.sum(2)).sum(1).mean())


def test_greedy_takes_the_lower_of_two_equal_ids() -> None:
    logits = row(1, 5, 2, 5, 0)
    for params in (GREEDY, replace(GREEDY, logit_bias={0: 0.5})):
        assert Sampler(params, []).choose(logits, 0) == Choice(1, 0.0, True)


def test_greedy_ignores_the_cuts() -> None:
    params = replace(GREEDY, typical_p=0.1, top_p=0.1)
    assert Sampler(params, []).choose(row(3, *[0.9] * 40), 0).token == 0


@pytest.mark.parametrize("history", [(), (3,)])
def test_the_greedy_margin_is_the_gap_to_the_second(history: tuple[int, ...]) -> None:
    params = replace(GREEDY, presence_penalty=0.5)
    chosen = Sampler(params, history).choose(row(1, 4, 3.75, 0), 0)
    assert chosen == Choice(1, 0.25, False)


def test_a_greedy_choice_within_epsilon_is_a_tie() -> None:
    sampler = Sampler(GREEDY, [], tie_epsilon=0.3)
    assert sampler.choose(row(4, 3.75), 0).tie
    assert not sampler.choose(row(4, 3.5), 0).tie


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(), OFF])
def test_the_only_token_is_chosen_for_certain(params: SamplingParams) -> None:
    for logits in (row(-7), row(-inf, -7, -inf)):
        chosen = Sampler(params, []).choose(logits, 3)
        assert (chosen.margin, chosen.tie) == (inf, False)
        assert logits[chosen.token] == -7


def test_the_margin_is_in_units_of_the_logits() -> None:
    logits = row(1, 0)
    noise = Sampler(replace(OFF, temperature=1), []).choose(logits, 1)
    hotter = Sampler(replace(OFF, temperature=2), []).choose(2 * logits, 1)
    assert hotter.token == noise.token
    assert hotter.margin == pytest.approx(2 * noise.margin)


def test_a_winner_at_the_edge_of_a_cut_is_a_tie() -> None:
    sampler = Sampler(replace(OFF, top_k=2, temperature=1), [])
    chosen = [sampler.choose(row(1, 0, -0.01, -9), position) for position in range(50)]
    assert {choice.token for choice in chosen} == {0, 1}
    assert all(choice == Choice(1, 0.0, True) for choice in chosen if choice.token == 1)


def test_a_greedy_grammar_is_read_from_the_top() -> None:
    logits = normal_rows(1, 50_000)[0]
    ranked = np.argsort(-logits, kind="stable")
    grammar = AllowList(ranked[100:].tolist())
    assert Sampler(GREEDY, [], grammar=grammar).choose(logits, 0).token == ranked[100]
    assert len(grammar.asked) < 1000


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(), OFF, replace(OFF, top_p=0.9)])
@pytest.mark.parametrize(
    "logits", [row(0, nan, 1), row(nan), row(0, inf), row(-inf, -inf)], ids=str
)
def test_unusable_logits_are_an_error(params: SamplingParams, logits: Logits) -> None:
    with pytest.raises(BackendError):
        Sampler(params, []).choose(logits, 0)


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(), OFF])
def test_a_grammar_that_allows_nothing_is_an_error(params: SamplingParams) -> None:
    with pytest.raises(BackendError, match="no token may come next"):
        Sampler(params, [], grammar=AllowList([])).choose(row(1, 2, 3), 0)


def test_what_a_grammar_lets_come_next_is_counted_and_not_accepted() -> None:
    grammar = FakeGrammar(30, 4)
    ahead, chain = grammar.clone(), []
    for _ in range(5):
        token = int(ahead.mask(np.arange(30, dtype=np.int32)).argmax())
        ahead.accept(token)
        chain.append(token)
    forbidden = int((~ahead.mask(np.arange(30, dtype=np.int32))).argmax())
    sampler = Sampler(OFF, [], grammar=grammar)
    for _ in range(2):
        assert sampler.permitted([*chain, forbidden, *chain]) == 5
        assert sampler.permitted(chain) == 5
        assert sampler.permitted(chain[:1]) == 1
        assert sampler.permitted([]) == 0
    for token in chain:
        sampler.accept(token)
    assert sampler.permitted([forbidden]) == 0
    assert Sampler(OFF, []).permitted([*chain, forbidden]) == 6
    assert Sampler(OFF, [], grammar=AllowList([0])).permitted([0, 0, 1]) == 2


def test_a_grammar_or_a_penalty_gives_a_sampler_a_state() -> None:
    assert not Sampler(OFF, [1]).stateful
    assert not Sampler(replace(OFF, presence_penalty=1, penalty_window=0), [1]).stateful
    assert Sampler(replace(OFF, presence_penalty=1), [1]).stateful
    assert Sampler(OFF, [1], grammar=AllowList([0])).stateful


def test_what_penalties_can_stretch_is_taken_off_the_margin() -> None:
    logits, warm = row(1, 0), replace(OFF, temperature=1)
    plain = Sampler(warm, []).choose(logits, 1)
    stretched = Sampler(replace(warm, repeat_penalty=2), []).choose(logits, 1)
    assert stretched.token == plain.token
    assert stretched.margin == pytest.approx(plain.margin / 2)
