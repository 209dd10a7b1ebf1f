"""Draft trees made by hand."""

from edgespec.events import Source
from edgespec.tree import Node


def add(parent: Node, token: int, probability: float, source: Source = Source.DRAFTER) -> Node:
    """Propose `token` after `parent`, if that is new."""
    return parent.children.setdefault(token, Node(token, parent, probability, source))
