"""Conversations to look at: written into the store as a session would have left them."""

from edgespec import paths
from edgespec.messages import Role
from edgespec.store.store import Store

FACTS = {
    "model": "nano",
    "reason": "eog",
    "tokens": 214,
    "rate": 41.25,
    "speedup": 1.62,
    "ttft": 0.31,
    "acceptance": 0.74,
}
SORTING = """\
Use `sorted`; it returns a **new** list:

```python
def by_length(words: list[str]) -> list[str]:
    return sorted(words, key=len)  # stable
```

| function | changes its argument |
|---|---|
| `sorted(x)` | no |
| `x.sort()` | yes |

1. 日本語のテキスト and 🎉 emoji 👩‍👩‍👧 keep their width.
2. שלום עולם is written from right to left.

> Lists are sorted in place by `list.sort`.
"""
HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x9b5n \x00 [bold]markup[/bold] [@click=app.bell]x[/]"
)


def open_store() -> Store:
    return Store(paths.data_dir() / "conversations.db", clock=lambda: 0.0)


def talk(store: Store, *texts: str, title: str, **facts: object) -> int:
    """User and assistant in turns; the last session crashed there, so the next one shows it."""
    conversation = store.create(title)
    parent = None
    for number, text in enumerate(texts):
        role = Role.ASSISTANT if number % 2 else Role.USER
        own = FACTS | facts if number % 2 else {}
        parent = store.add(conversation, parent, role, text, facts=own).id
    store.execute("INSERT OR REPLACE INTO session VALUES (1, 0, ?, '')", (conversation,))
    return conversation


def branched(store: Store) -> int:
    """A question with two answers, the second of which is shown."""
    conversation = talk(store, "How do I sort a list?", "Like this.", title="Sorting in Python")
    store.add(conversation, 1, Role.ASSISTANT, SORTING, facts=FACTS)
    return conversation
