"""A conversation's messages as a tree: answering again or editing adds a sibling."""

from collections.abc import Iterable, Iterator

from edgespec.store.records import StoredMessage


class MessageTree:
    """All messages of one conversation and the path through them that is shown, up to `leaf`."""

    def __init__(self, messages: Iterable[StoredMessage] = (), leaf: int | None = None) -> None:
        self._messages: dict[int, StoredMessage] = {}
        self._children: dict[int | None, list[int]] = {}
        for message in messages:
            self._insert(message)
        self.leaf = leaf if leaf in self._messages else self._latest(None)

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, message: int) -> StoredMessage:
        return self._messages[message]

    def __iter__(self) -> Iterator[StoredMessage]:
        """All messages, parents before their children."""
        return iter(self._messages.values())

    def path(self) -> list[StoredMessage]:
        """The messages from the first one to the leaf."""
        return self.path_to(self.leaf)

    def path_to(self, message: int | None) -> list[StoredMessage]:
        """The messages from the first one to `message`, with it."""
        path: list[StoredMessage] = []
        while message is not None:
            path.append(self._messages[message])
            message = path[-1].parent
        return path[::-1]

    def siblings(self, message: int) -> tuple[int, int]:
        """Which of the messages in its place it is, from 1, and how many there are."""
        place = self._children[self._messages[message].parent]
        return place.index(message) + 1, len(place)

    def add(self, message: StoredMessage) -> None:
        """Add a message, which becomes the leaf."""
        self._insert(message)
        self.leaf = message.id

    def replace(self, message: StoredMessage) -> None:
        """Put a new state of a message in place of the old one."""
        self._messages[message.id] = message

    def step(self, message: int, by: int) -> int | None:
        """Show the sibling `by` places on, with what came after it; its id, None if none is."""
        place = self._children[self._messages[message].parent]
        at = place.index(message) + by
        if not 0 <= at < len(place):
            return None
        self.leaf = self._latest(place[at])
        return place[at]

    def _insert(self, message: StoredMessage) -> None:
        self._messages[message.id] = message
        self._children.setdefault(message.parent, []).append(message.id)

    def _latest(self, message: int | None) -> int | None:
        """The end of the path that always takes the newest child."""
        while children := self._children.get(message):
            message = children[-1]
        return message
