from edgespec.messages import Role
from edgespec.store.records import StoredMessage
from edgespec.store.tree import MessageTree


def message(id_: int, parent: int | None = None) -> StoredMessage:
    return StoredMessage(id_, parent, Role.USER, f"text {id_}")


def ids(tree: MessageTree) -> list[int]:
    return [shown.id for shown in tree.path()]


#   1 ─ 2 ─ 3 ─ 5
#     └ 4 ─ 6
BRANCHED = [message(1), message(2, 1), message(3, 2), message(4, 1), message(5, 3), message(6, 4)]


def test_the_path_leads_to_the_leaf() -> None:
    assert ids(MessageTree(BRANCHED, 5)) == [1, 2, 3, 5]
    assert ids(MessageTree(BRANCHED, 2)) == [1, 2]


def test_without_a_usable_leaf_the_newest_path_is_shown() -> None:
    assert ids(MessageTree(BRANCHED)) == ids(MessageTree(BRANCHED, 77)) == [1, 4, 6]
    assert ids(MessageTree()) == []


def test_stepping_to_a_sibling_shows_what_came_after_it() -> None:
    tree = MessageTree(BRANCHED, 6)
    assert tree.siblings(4) == (2, 2)
    assert tree.step(4, -1) == 2
    assert ids(tree) == [1, 2, 3, 5]
    assert tree.step(2, -1) is None
    assert tree.step(3, 1) is None
    assert ids(tree) == [1, 2, 3, 5]
    assert tree.step(2, 1) == 4
    assert ids(tree) == [1, 4, 6]


def test_first_messages_can_be_siblings_too() -> None:
    tree = MessageTree([message(1), message(2, 1)])
    tree.add(message(3))
    assert (tree.siblings(3), ids(tree)) == ((2, 2), [3])
    assert tree.step(3, -1) == 1
    assert ids(tree) == [1, 2]


def test_a_replaced_message_keeps_its_place() -> None:
    tree = MessageTree(BRANCHED)
    tree.replace(StoredMessage(4, 1, Role.USER, "new"))
    assert [shown.text for shown in tree.path()] == ["text 1", "new", "text 6"]
