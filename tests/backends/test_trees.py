"""Trees in libllama's cache: every path is decoded, and kept, as if it were the only one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest

from edgespec.errors import Aborted
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec_backends.llamacpp import open_model
from edgespec_backends.llamacpp.context import LlamaContext
from edgespec_backends.llamacpp.model import LlamaModel
from tests.backends.nano import TARGET

pytestmark = pytest.mark.native

N_CTX = 640
SIZE = 17


@pytest.fixture(scope="module")
def nano() -> Iterator[LlamaModel]:
    model = LlamaModel(TARGET, ModelOptions(threads=1), None)
    yield model
    model.close()


@pytest.fixture
def two(nano: LlamaModel) -> Iterator[tuple[LlamaContext, LlamaContext]]:
    """A context for single tokens and one for trees."""
    options = [ContextOptions(N_CTX, max_outputs=SIZE, branches=count) for count in (0, SIZE - 1)]
    contexts = nano.context(options[0]), nano.context(options[1])
    yield contexts
    for context in contexts:
        context.close()


def random_tree(random: Random) -> tuple[list[int], list[int]]:
    size = random.randint(1, SIZE)
    tokens = [random.randrange(8000) for _ in range(size)]
    return tokens, [-1, *(random.randrange(max(0, row - 4), row) for row in range(1, size))]


def path_to(row: int, parents: Sequence[int]) -> list[int]:
    path = [row]
    while parents[path[0]] >= 0:
        path.insert(0, parents[path[0]])
    return path


def test_trees_and_what_is_kept_of_them_equal_single_decodes_to_the_last_bit(
    two: tuple[LlamaContext, LlamaContext],
) -> None:
    single, branching = two
    random, moved = Random(1), 0
    text = [random.randrange(8000) for _ in range(480)]
    for context in two:
        context.decode(text, 0, outputs=0)
    for _ in range(60):
        tokens, parents = random_tree(random)
        branching.decode_tree(tokens, parents, len(text))
        rows = [branching.logits(row).copy() for row in range(len(tokens))]
        path = path_to(random.randrange(len(tokens)), parents)
        moved += path != list(range(len(path)))
        assert branching.keep(path)
        for row in path:
            single.decode([tokens[row]], len(text), outputs=1)
            np.testing.assert_array_equal(rows[row], single.logits(0))
            text.append(tokens[row])
        assert branching.length() == len(text)
        if random.random() < 0.2:
            del text[random.randrange(len(text) - 20, len(text)) :]
            for context in two:
                assert context.truncate(len(text))
    assert moved > 20
    assert len(text) > 512


def test_a_context_with_branches_is_saved_like_any_other(
    two: tuple[LlamaContext, LlamaContext],
) -> None:
    _, branching = two
    branching.decode([1, 2, 3], 0, outputs=0)
    branching.decode_tree([4, 5, 6, 7], [-1, 0, 0, 2], 3)
    assert branching.keep([0, 2, 3])
    state = branching.save()
    branching.decode([8], 6, outputs=1)
    expected = branching.logits(0).copy()
    branching.clear()
    assert branching.load(state, 6)
    branching.decode([8], 6, outputs=1)
    np.testing.assert_array_equal(branching.logits(0), expected)
    branching.decode_tree([4, 5, 6], [-1, 0, 0], 7)
    assert branching.keep([0, 2])


def test_a_tree_that_was_stopped_or_not_kept_leaves_no_trace(
    two: tuple[LlamaContext, LlamaContext],
) -> None:
    single, branching = two
    tree = [4, 5, 6, 7], [-1, 0, 0, 2]
    for context in two:
        context.decode([1, 2, 3], 0, outputs=0)
    for _ in range(N_CTX):  # More than there would be room for if any of it stayed.
        branching.decode_tree(*tree, 3)
        branching.truncate(3)
    branching.abort()
    with pytest.raises(Aborted):
        branching.decode_tree(*tree, 3)
    branching.resume()
    for context in two:
        context.decode([8], 3, outputs=1)
    np.testing.assert_array_equal(branching.logits(0), single.logits(0))


@pytest.mark.parametrize("kind", ["lfm2", "jamba"])
def test_models_with_states_verify_chains_only(ggufs: dict[str, Path], kind: str) -> None:
    model = open_model(ggufs[kind], ModelOptions(threads=1))
    context = model.context(ContextOptions(64, max_outputs=4, branches=3))
    assert isinstance(context, LlamaContext)
    assert context.branches == 0
    context.close()
    model.close()
