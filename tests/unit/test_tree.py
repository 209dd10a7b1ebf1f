"""The draft tree: what is added, which path is the best, and what an emitted token leaves of it."""

from collections.abc import Sequence
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.events import Source
from edgespec.tree import DraftTree, Node, survivals
from tests.trees import add

Shape = dict[tuple[int, ...], float]

additions = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(0, 3),
        st.floats(0.01, 0.99),
        st.sampled_from([Source.DRAFTER, Source.SUFFIX]),
    ),
    max_size=30,
)


def grown(steps: Sequence[tuple[int, int, float, Source]]) -> tuple[DraftTree, list[Node]]:
    """A tree to which one node after the other was added, and its nodes, parents first."""
    tree = DraftTree(9)
    nodes = [tree.root]
    for parent, token, probability, source in steps:
        node = add(nodes[parent % len(nodes)], token, probability, source)
        if node not in nodes:
            nodes.append(node)
    return tree, nodes


def shape(node: Node, path: tuple[int, ...] = ()) -> Shape:
    """All paths below `node` and the probability of each one's last step."""
    paths: Shape = {}
    for token, child in node.children.items():
        paths[(*path, token)] = child.probability
        paths |= shape(child, (*path, token))
    return paths


def chain(tree: DraftTree, *steps: tuple[int, float]) -> list[Node]:
    nodes = [tree.root]
    for token, probability in steps:
        nodes.append(add(nodes[-1], token, probability))
    return nodes[1:]


def test_the_best_path_follows_the_likeliest_child_and_of_equals_the_first() -> None:
    tree = DraftTree(0)
    assert tree.best_path() == []
    assert tree.tip is tree.root
    chain(tree, (1, 0.5), (2, 0.9))
    likely = chain(tree, (3, 0.6), (4, 0.1))
    add(likely[0], 5, 0.1)
    assert tree.best_path() == likely
    assert tree.tip is likely[-1]


def test_a_path_leads_from_below_the_root_to_the_node() -> None:
    tree = DraftTree(0)
    nodes = chain(tree, (1, 0.5), (2, 0.5), (3, 0.5))
    assert nodes[-1].path() == nodes
    assert tree.root.path() == []


@settings(deadline=None)
@given(steps=additions)
def test_survival_is_the_product_along_the_path(
    steps: list[tuple[int, int, float, Source]],
) -> None:
    tree, _ = grown(steps)
    path = tree.best_path()
    probabilities = [node.probability for node in path]
    expected = [prod(probabilities[: r + 1]) for r in range(len(path))]
    assert survivals(path) == pytest.approx(expected)
    for node in path:
        assert node.parent is not None
        rivals = [child.probability for child in node.parent.children.values()]
        assert node.probability == max(rivals)


@settings(deadline=None)
@given(
    steps=additions, least=st.floats(0.001, 0.9), looked_past=st.sets(st.integers(0, 30)),
    underway=st.sets(st.integers(0, 30)),
)  # fmt: skip
def test_leaves_are_the_nodes_worth_looking_past_the_likeliest_first(
    steps: list[tuple[int, int, float, Source]],
    least: float,
    looked_past: set[int],
    underway: set[int],
) -> None:
    tree, nodes = grown(steps)
    for index, node in enumerate(nodes):
        node.expanded, node.expanding = index in looked_past, index in underway
    leaves = tree.leaves(least)
    assert tree.leaves(least, 1) == [leaf for leaf in leaves if len(leaf[1].path()) <= 1]
    for survival, node in leaves:
        assert survival == pytest.approx(prod(step.probability for step in node.path()))
    chances = [survival for survival, _ in leaves]
    assert chances == sorted(chances, reverse=True)
    found = {id(node) for _, node in leaves}
    assert len(found) == len(leaves)
    for index, node in enumerate(nodes):
        survival = prod(step.probability for step in node.path())
        # What is as likely as the least but for rounding may or may not be there.
        if survival != pytest.approx(least):
            idle = index not in looked_past and index not in underway
            wanted = idle and (node is tree.root or survival > least)
            assert (id(node) in found) == wanted
    order = {id(node): place for place, (_, node) in enumerate(leaves)}
    for _, node in leaves:
        above = [order[id(step)] for step in node.path()[:-1] if id(step) in order]
        assert all(place < order[id(node)] for place in above)


@settings(deadline=None)
@given(steps=additions, data=st.data())
def test_following_a_path_keeps_exactly_what_hangs_on_its_end(
    steps: list[tuple[int, int, float, Source]], data: st.DataObject
) -> None:
    tree, nodes = grown(steps)
    end = data.draw(st.sampled_from(nodes))
    path = end.path()
    if not path:
        return
    kept = shape(end)
    below = [node for node in nodes if end in (node, *node.path())]
    assert tree.reroot([node.token for node in path])
    assert tree.root is end
    assert (tree.root.parent, tree.root.probability) == (None, 1.0)
    assert shape(tree.root) == kept
    assert [node for node in nodes if tree.holds(node)] == below


@settings(deadline=None)
@given(steps=additions, tokens=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_a_surprise_leaves_only_the_last_token(
    steps: list[tuple[int, int, float, Source]], tokens: list[int]
) -> None:
    tree, nodes = grown(steps)
    known = tuple(tokens) in shape(tree.root)
    assert tree.reroot(tokens) == known
    assert tree.root.token == tokens[-1]
    if not known:
        assert tree.root.children == {}
        assert not tree.root.expanded
        assert not any(tree.holds(node) for node in nodes)


def test_a_surprise_in_the_middle_is_not_forgiven_by_what_follows() -> None:
    tree = DraftTree(0)
    chain(tree, (1, 0.5), (2, 0.5), (3, 0.5))
    assert not tree.reroot([1, 9, 3])
    assert tree.root.token == 3
    assert tree.best_path() == []


def test_a_node_of_another_tree_with_the_same_tokens_is_not_held() -> None:
    tree, other = DraftTree(0), DraftTree(0)
    [mine], [foreign] = chain(tree, (1, 0.5)), chain(other, (1, 0.5))
    assert tree.holds(mine)
    assert tree.holds(tree.root)
    assert not tree.holds(foreign)
    assert not tree.holds(other.root)


@given(steps=additions, count=st.integers(0, 12))
def test_the_likeliest_nodes_are_a_tree_and_no_other_node_is_likelier(
    steps: list[tuple[int, int, float, Source]], count: int
) -> None:
    tree, nodes = grown(steps)
    chances = {node: prod(step.probability for step in node.path()) for node in nodes[1:]}
    chosen = tree.likeliest(count)
    assert [chance for chance, _ in chosen] == pytest.approx(
        sorted(chances.values(), reverse=True)[:count]
    )
    for index, (chance, node) in enumerate(chosen):
        assert chance == pytest.approx(chances[node])
        assert node.parent in [tree.root, *(earlier for _, earlier in chosen[:index])]


def test_chosen_nodes_stand_after_their_parents_the_best_path_first() -> None:
    tree = DraftTree(9)
    likely = add(tree.root, 1, 0.6)
    other = add(tree.root, 2, 0.4)
    after_other = add(other, 3, 0.9)
    after_likely = add(likely, 4, 0.5)
    chosen = {after_other, other, likely, after_likely}
    assert tree.in_order(chosen) == [likely, after_likely, other, after_other]
    assert tree.in_order({other, likely}) == [likely, other]
    assert tree.in_order(set()) == []
