import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespec.errors import InvalidInput
from edgespec.messages import Role
from edgespec.store.exchange import from_json, to_json, to_markdown
from edgespec.store.store import Store
from edgespec.store.tree import MessageTree


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("exchange") / "conversations.db")


def shape(tree: MessageTree) -> list[tuple[Any, ...]]:
    """The messages without their ids, which are the store's own affair."""
    places = {message.id: place for place, message in enumerate(tree)}
    return [
        (places.get(message.parent or -1), message.role, message.text, message.facts)
        for message in tree
    ]


def branched(store: Store, texts: list[str]) -> int:
    conversation = store.create("Title\nof two lines", "System")
    question = store.add(conversation, None, Role.USER, "Question")
    for text in texts:
        answer = store.add(conversation, question.id, Role.ASSISTANT, text, facts={"n": 1})
        store.add(conversation, answer.id, Role.USER, text)
    store.set_leaf(conversation, question.id + 1)
    return conversation


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_what_is_exported_can_be_imported(store: Store, texts: list[str]) -> None:
    id_ = branched(store, texts)
    tree = store.load(id_)
    text = to_json(store.title(id_), store.system(id_), tree)
    copy = from_json(store, text)
    again = store.load(copy)
    assert shape(again) == shape(tree)
    assert [m.text for m in again.path()] == [m.text for m in tree.path()]
    assert (store.title(copy), store.system(copy)) == (store.title(id_), store.system(id_))


def test_markdown_has_the_path_that_is_shown(tmp_path: Path) -> None:
    with Store(tmp_path / "c.db") as store:
        id_ = branched(store, ["one", "two"])
        tree = store.load(id_)
    assert to_markdown("A\ntitle", "System", tree.path()) == (
        "# A title\n\n## System\n\nSystem\n\n## You\n\nQuestion\n\n## Assistant\n\none\n"
    )


def good() -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": 1,
        "parent": None,
        "role": "user",
        "text": "t",
        "created": 0,
        "facts": {},
    }
    return {
        "format": "edgespec conversation",
        "version": 1,
        "title": "",
        "system": "",
        "leaf": 1,
        "messages": [message],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"format": "something else"},
        {"version": 2},
        {"messages": None},
        {"messages": [{}]},
        {"messages": [{**good()["messages"][0], "role": "system"}]},
        {"messages": [{**good()["messages"][0], "role": "assistant"}]},
        {"messages": [{**good()["messages"][0], "parent": 2}]},
        {"messages": [{**good()["messages"][0], "parent": 1}]},
        {"messages": [{**good()["messages"][0], "text": 3}]},
        {"messages": [good()["messages"][0]] * 2},
        {"messages": [{**good()["messages"][0], "id": "1"}]},
    ],
)
def test_nothing_else_is_imported(store: Store, change: dict[str, Any]) -> None:
    count = len(store.summaries())
    with pytest.raises(InvalidInput):
        from_json(store, json.dumps(good() | change))
    assert len(store.summaries()) == count
    from_json(store, json.dumps(good()))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"a"', "[" * 100_000])
def test_what_is_no_conversation_is_refused(store: Store, text: str) -> None:
    with pytest.raises(InvalidInput, match="it is no"):
        from_json(store, text)
