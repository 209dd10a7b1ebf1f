"""The draft tree: everything proposed beyond the last emitted token, and how likely each is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from edgespec.events import Source

Features = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that a source proposes and what the acceptance model shall judge it by."""

    token: int
    features: Features


@dataclass(slots=True, eq=False)
class Node:
    """One proposed token. `probability` is that of being emitted, given that its parent was.

    `judge` names the acceptance model that it comes from, and `features` are what that model judged
    by. `expanded` means that the drafter has looked past this node, so its children are all that it
    proposes here.
    """

    token: int
    parent: "Node | None" = None
    probability: float = 1.0
    source: Source = Source.TARGET
    judge: str = ""
    features: Features = ()
    expanded: bool = False
    expanding: bool = False
    children: dict[int, "Node"] = field(default_factory=dict)

    @property
    def best(self) -> "Node | None":
        """The likeliest child, the first added of equals."""
        return max(self.children.values(), key=lambda child: child.probability, default=None)

    def path(self) -> list["Node"]:
        """The nodes from below the root to this one."""
        nodes: list[Node] = []
        node = self
        while node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


class DraftTree:
    """Nodes below `root`, the last emitted token, which itself is certain."""

    def __init__(self, token: int) -> None:
        self.root = Node(token)

    def best_path(self) -> list[Node]:
        """From the root, the likeliest child each time; the root itself not included."""
        path: list[Node] = []
        node = self.root.best
        while node is not None:
            path.append(node)
            node = node.best
        return path

    def likeliest(self, count: int) -> list[tuple[float, Node]]:
        """The `count` nodes of all branches that are likeliest to be emitted, and how likely.

        The likeliest first; no node comes before its parent.
        """
        found: list[tuple[float, Node]] = []
        waiting: list[tuple[float, int, Node]] = [(-1.0, 0, self.root)]
        added = 0
        while waiting and len(found) <= count:
            survival, _, node = heappop(waiting)
            found.append((-survival, node))
            for child in node.children.values():
                added += 1
                heappush(waiting, (survival * child.probability, added, child))
        return found[1:]

    def in_order(self, chosen: Collection[Node]) -> list[Node]:
        """The `chosen` nodes, each after its parent and the likeliest branches first."""
        found: list[Node] = []
        stack = [self.root]
        while stack:
            node = stack.pop()
            children = [child for child in node.children.values() if child in chosen]
            stack += sorted(children, key=lambda child: child.probability)
            found.append(node)
        return found[1:]

    @property
    def tip(self) -> Node:
        """The end of the best path."""
        path = self.best_path()
        return path[-1] if path else self.root

    def leaves(self, least: float, depth: float = inf) -> list[tuple[float, Node]]:
        """Nodes that the drafter has not looked past and whose survival is at least `least`.

        None deeper than `depth`. The likeliest first, the root included; a node comes before its
        descendants.
        """
        found: list[tuple[float, Node]] = []
        stack = [(1.0, 0, self.root)]
        while stack:
            survival, level, node = stack.pop()
            if not node.expanded and not node.expanding:
                found.append((survival, node))
            for child in node.children.values():
                if survival * child.probability >= least and level < depth:
                    stack.append((survival * child.probability, level + 1, child))
        return sorted(found, key=lambda leaf: -leaf[0])

    def reroot(self, tokens: Sequence[int]) -> bool:
        """Follow the emitted `tokens`; True if the drafts held all of them.

        What hangs on any other branch is dropped; after a miss only the last token remains.
        """
        node: Node | None = self.root
        for token in tokens:
            node = node.children.get(token) if node else None
        self.root = node or Node(tokens[-1])
        self.root.parent = None
        self.root.probability = 1.0
        return node is not None

    def holds(self, node: Node) -> bool:
        """True if `node` is still part of the tree."""
        while node.parent is not None:
            if node.parent.children.get(node.token) is not node:
                return False
            node = node.parent
        return node is self.root


def survivals(path: Sequence[Node]) -> list[float]:
    """P(the first r nodes of the path are all emitted) for r = 1 .. len(path)."""
    result: list[float] = []
    survival = 1.0
    for node in path:
        survival *= node.probability
        result.append(survival)
    return result
