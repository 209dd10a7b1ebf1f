"""Batches of chains and trees: what is followed, counted and kept of them."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from edgespec.cache import Cache
from edgespec.protocols import ContextOptions
from edgespec.tree import DraftTree, Node
from edgespec.verification import Verification
from tests.fakes import FakeContext, ToyLanguage
from tests.trees import add

LANGUAGE = ToyLanguage()
PROMPT = [3, 4, 5]


def cache(*, refuses: bool = False) -> Cache:
    context = FakeContext(LANGUAGE, ContextOptions(n_ctx=200, max_outputs=17, branches=16))
    context.refuses = {"keep"} if refuses else set()
    held = Cache(context)
    held.prefill(PROMPT)
    return held


def grown(random: Random, size: int) -> list[Node]:
    """The nodes of a random tree, in the order in which the scheduler names them."""
    tree = DraftTree(1)
    nodes = [tree.root]
    for _ in range(size):
        parent = random.choice(nodes[-3:])
        node = add(parent, random.randrange(30), random.random())
        if node not in nodes:
            nodes.append(node)
    return tree.in_order(set(nodes))


def said(random: Random, drafts: Sequence[Node]) -> list[int]:
    """A path through the tree and a surprise."""
    path = random.choice(drafts).path() if drafts else []
    return [*(node.token for node in path), 30]


def test_a_batch_follows_what_is_said_and_keeps_it() -> None:
    for seed in range(300):
        random = Random(seed)
        drafts = grown(random, random.randint(0, 12))
        held = cache(refuses=seed % 3 == 0)
        batch = Verification(1, drafts)
        batch.decode(held)
        text = [*PROMPT, 1]
        follows = said(random, drafts)
        for token in follows:
            assert batch.row is not None
            np.testing.assert_array_equal(held.logits(batch.row), LANGUAGE.logits(text))
            draft = batch.emit(token)
            assert (draft.token if draft else 30) == token
            text.append(token)
        assert batch.row is None
        assert batch.emitted == follows
        assert batch.accepted == len(batch.emitted) - 1
        batch.settle(held, len(text) - 1)
        assert held.tokens == list(held.context.held()) == text[:-1]  # type: ignore[attr-defined]


def test_an_answer_that_ends_inside_a_draft_keeps_what_came_before() -> None:
    tree = DraftTree(1)
    add(tree.root, 5, 0.5)
    add(add(tree.root, 6, 0.4), 7, 0.9)
    held = cache()
    batch = Verification(1, tree.in_order({node for _, node in tree.likeliest(3)}))
    batch.decode(held)
    batch.emit(6)
    batch.settle(held, len(PROMPT) + 1)
    assert batch.accepted == 1
    assert batch.depth == 2
    assert held.tokens == [*PROMPT, 1]


@pytest.mark.parametrize("shape", ["chain", "tree"])
def test_only_trees_are_decoded_as_trees(shape: str) -> None:
    tree = DraftTree(1)
    first = add(tree.root, 5, 0.5)
    second = add(first if shape == "chain" else tree.root, 6, 0.4)
    held = cache()
    Verification(1, [first, second]).decode(held)
    context = held.context
    assert isinstance(context, FakeContext)
    assert context.trees == (shape == "tree")


def test_a_tree_that_nobody_settles_leaves_its_first_branch() -> None:
    tree = DraftTree(1)
    drafts = [add(tree.root, token, 0.5) for token in (5, 6)]
    held = cache()
    Verification(1, drafts).decode(held)
    assert held.tokens == [*PROMPT, 1, 5]
    held.prefill([*PROMPT, 1, 5, 9])
    assert held.context.held() == (*PROMPT, 1, 5, 9)  # type: ignore[attr-defined]
