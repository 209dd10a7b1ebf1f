"""Slots of a context: whatever is shared, dropped or reused, the account of cells is right."""

from collections.abc import Sequence
from random import Random

import pytest

from edgespec.batch.layout import Layout
from edgespec.batch.sequences import Sequences, Slot, common
from edgespec.protocols import ContextOptions, Held
from edgespec.recall import WORTH, Recall
from tests.fakes import FakeContext, ToyLanguage

ROOM = 120
NARROW = Layout(1, 512)
"""No piece of so short a prompt is wide."""


class CellContext(FakeContext):
    """Knows which cell each position of each sequence is in; copies share cells."""

    def __init__(self, count: int) -> None:
        super().__init__(ToyLanguage(), ContextOptions(n_ctx=ROOM, max_sequences=count))
        self.cells: list[list[int]] = [[] for _ in range(count)]
        self.dead: set[int] = set()
        self.compacted = 0
        self._next_cell = 0

    def of(self, slot: Slot) -> list[int]:
        """What a slot's sequence holds."""
        return self._held[slot.sequence]

    def hold(self, slot: Slot, token: int) -> None:
        """A token was decoded into a new cell."""
        self._held[slot.sequence].append(token)
        self.cells[slot.sequence].append(self._next_cell)
        self._next_cell += 1

    def copy(self, source: int, destination: int, length: int) -> None:
        """Share cells."""
        super().copy(source, destination, length)
        self.cells[destination] = self.cells[source][:length]

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Let go of cells."""
        del self.cells[sequence][length:]
        return super().truncate(length, sequence=sequence)

    def discard(self, length: int, *, sequence: int) -> None:
        """Let go of cells, which stay taken."""
        self.dead.update(self.cells[sequence][length:])
        super().discard(length, sequence=sequence)

    def compact(self, sequences: Sequence[Held]) -> None:
        """The cells of the dead can be used again."""
        super().compact(sequences)
        self.dead.clear()
        self.compacted += 1
        named = {held.sequence for held in sequences}
        for number, cells in enumerate(self.cells):
            if number not in named:
                cells.clear()

    def state_size(self, sequence: int = 0) -> int:
        """A byte for each token."""
        return len(self._held[sequence])

    def save(self, sequence: int = 0) -> bytes:
        """The tokens."""
        return bytes(self._held[sequence])

    def load(self, state: bytes, length: int, *, sequence: int = 0) -> bool:
        """Into new cells."""
        assert not self._held[sequence]
        assert len(state) == length
        for token in state:
            self.hold(Slot(sequence), token)
        return True

    def taken(self, sequences: list[int]) -> int:
        """Cells that these sequences hold."""
        return len({cell for sequence in sequences for cell in self.cells[sequence]})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("limit", [0, 300])
def test_the_account_of_cells_is_right_whatever_happens(
    seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespec.recall.WORTH", 2)
    monkeypatch.setattr("edgespec.batch.sequences.WORTH", 2)
    random, count = Random(seed), 5
    context = CellContext(count)
    sequences = Sequences(context, count, recall=Recall(limit))
    live: list[Slot] = []
    for _ in range(600):
        match random.randrange(5):
            case 0 | 1 if len(live) < count:
                text = [random.randrange(2) for _ in range(random.randint(1, 12))]
                slot = sequences.open(text, NARROW)
                assert slot.tokens == text[: len(slot.tokens)] == context.of(slot)
                assert len(slot.tokens) < len(text)
                live.append(slot)
            case 2 if live:
                slot = random.choice(live)
                for _ in range(random.randint(1, 6)):
                    if sequences.make_room(1):
                        token = random.randrange(2)
                        sequences.row(slot, token, output=True)
                        context.hold(slot, token)
            case 3 if live:
                slot = random.choice(live)
                sequences.truncate(slot, random.randint(0, len(slot.tokens)))
            case 4 if live:
                sequences.release(live.pop(random.randrange(len(live))))
        everything = {cell for cells in context.cells for cell in cells} | context.dead
        assert len(everything) <= ROOM
        assert sequences._taken() == context.taken(list(range(count)))
        assert ROOM - sequences.available() == context.taken([slot.sequence for slot in live])
    assert context.compacted > 2


def test_a_text_takes_over_what_another_begins_with() -> None:
    context = CellContext(3)
    sequences = Sequences(context, 3)
    first = sequences.open([1, 2, 3, 4], NARROW)
    for token in (1, 2, 3, 4):
        sequences.row(first, token, output=False)
        context.hold(first, token)
    assert sequences.open([1, 2, 3, 9], NARROW).tokens == [1, 2, 3]
    # All but the last token: that one must be decoded, for its logits.
    assert sequences.open([1, 2, 3, 4], NARROW).tokens == [1, 2, 3]
    assert context.taken([0, 1, 2]) == 4


def test_what_is_given_up_is_recalled() -> None:
    context = CellContext(2)
    recall = Recall(1 << 10)
    sequences = Sequences(context, 2, recall=recall)
    texts = [[number, *[9] * (WORTH // 2 - 1)] * 2 for number in range(3)]
    for text in texts * 2:
        slot = sequences.open([*text, 8], NARROW)
        known = len(slot.tokens)
        assert slot.tokens == text[:known] == context.of(slot)
        for token in text[known:]:
            assert sequences.make_room(1)
            sequences.row(slot, token, output=False)
            context.hold(slot, token)
        sequences.release(slot)
    # Each was read once: there was room for one only, but for what is kept elsewhere.
    assert known == WORTH
    assert sequences.keep(texts[0]) == []
    sequences = Sequences(context, 2, recall=recall)
    assert sequences.open([*texts[2], 8], NARROW).tokens == texts[2]


def test_make_room_spares_what_is_live() -> None:
    context = CellContext(2)
    sequences = Sequences(context, 2)
    old, new = sequences.open([1] * 50, NARROW), sequences.open([0] * 50, NARROW)
    for slot, token in [(old, 1)] * 50 + [(new, 0)] * 50:
        sequences.row(slot, token, output=False)
        context.hold(slot, token)
    assert not sequences.make_room(21)
    sequences.release(old)
    assert sequences.make_room(21)
    assert (old.tokens, len(new.tokens)) == ([], 50)


def test_common_beginnings() -> None:
    random = Random(0)
    for _ in range(200):
        mine = [random.randrange(2) for _ in range(random.randrange(9))]
        yours = [random.randrange(2) for _ in range(random.randrange(9))]
        pairs = list(zip(mine, yours, strict=False))
        same = [a == b for a, b in pairs]
        assert common(mine, yours) == (same.index(False) if False in same else len(pairs))
