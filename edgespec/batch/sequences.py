"""The sequences of one context: the tokens of each, what they share, and the room that is left."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgespec.batch.layout import Layout
from edgespec.protocols import Held, OrderedContext, Row, Saving
from edgespec.recall import WORTH, Kept, Recall
from edgespec.snapshots import Snapshot

_LEAST = 512
"""Positions from which on it is worth while to lay them out anew."""


@dataclass(slots=True, eq=False)
class Slot:
    """One sequence. Its first `shared` positions are those of `parent`, at no further cost."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    wide: int = 0
    """How many of the first tokens were decoded in wide pieces; see Layout."""
    live: bool = False
    parent: "Slot | None" = None
    shared: int = 0
    used: int = 0


class Sequences:
    """Slots for `count` texts at a time, each in the order of its positions.

    A text that begins like one that is, or was, in the context takes that beginning over (as
    Prompt Cache does: Gim et al. 2023, arXiv:2311.04934). What a released slot holds stays until
    its sequence or its room is needed, and then in `recall`, if there is one. Room is used once and
    then laid out anew, before it is so scattered that attention spends its time with what is not
    there any more. `held` is what sequence 0 holds in the beginning, of which `prompt` tokens were
    a prompt; the others are empty.
    """

    def __init__(
        self,
        context: OrderedContext,
        count: int,
        held: Sequence[int] = (),
        prompt: int = 0,
        recall: Recall | None = None,
    ) -> None:
        self._context = context
        self._recall = recall if isinstance(context, Saving) else None
        self._slots = [Slot(number) for number in range(count)]
        self._slots[0].tokens = list(held)
        self._slots[0].wide = min(Layout(prompt, context.n_batch).wide, len(held))
        self._clock = 0
        self._laid = len(held)
        """Positions that were used since they were laid out, whether they still count or not."""
        self._limit = 0
        self.room = context.n_ctx
        """Positions of the whole context."""

    @property
    def free(self) -> int:
        """How many more texts there can be at a time."""
        return sum(not slot.live for slot in self._slots)

    def beginning(self, tokens: Sequence[int], layout: Layout) -> int:
        """How many of `tokens` can be taken over from some slot."""
        return max(_usable(slot.tokens, slot.wide, tokens, layout) for slot in self._slots)

    def available(self) -> int:
        """Positions that nothing live holds."""
        return self.room - self._taken(only_live=True)

    def open(self, tokens: Sequence[int], layout: Layout) -> Slot:
        """A slot for a text; what it holds already is in its `tokens`, all but the last at most."""
        self._clock += 1
        best = max(self._slots, key=lambda slot: _usable(slot.tokens, slot.wide, tokens, layout))
        length = _usable(best.tokens, best.wide, tokens, layout)
        kept = self._kept(tokens, layout, length)
        idle = (slot for slot in self._slots if not slot.live)
        slot = min(idle, key=lambda slot: (slot is best, bool(slot.tokens), slot.used))
        self._give_up(slot, length if slot is best and not kept else 0)
        if kept:
            self.load(slot, kept.snapshot.tokens, kept.snapshot.target)
            self.truncate(slot, _usable(kept.snapshot.tokens, kept.wide, tokens, layout))
        elif slot is not best and length:
            self._context.copy(best.sequence, slot.sequence, length)
            slot.tokens = best.tokens[:length]
            slot.parent, slot.shared = best, length
        slot.live = True
        slot.wide = layout.wide
        return slot

    def release(self, slot: Slot) -> None:
        """The text is finished; what it holds may be of use to others."""
        self._clock += 1
        slot.live = False
        slot.used = self._clock

    def keep(self, tokens: Sequence[int]) -> list[int]:
        """Hold as much of `tokens` as some slot does in sequence 0, and nothing else.

        Returns what is held. No slot may be live.
        """
        best = max(self._slots, key=lambda slot: common(slot.tokens, tokens))
        held = best.tokens[: common(best.tokens, tokens)]
        for slot in self._slots:
            self._remember(slot, len(held) if slot is best else 0)
        if best.sequence != 0:
            self._context.truncate(0, sequence=0)
            self._context.copy(best.sequence, 0, len(held))
        self._context.truncate(len(held), sequence=0)
        self._context.compact([Held(0, 0, 0)] if held else [])
        return held

    def make_room(self, count: int) -> bool:
        """See that `count` more positions fit; False if they cannot beside what is live."""
        if self._laid + count <= self._limit:
            return True
        idle = sorted((slot for slot in self._slots if not slot.live), key=lambda slot: slot.used)
        for slot in idle[:-1]:
            self._give_up(slot, 0)
        if idle and self._taken() + count > self.room:
            self._give_up(idle[-1], 0)
        taken = self._taken()
        if taken + count > self.room:
            return False
        self._context.compact([_held(slot) for slot in self._parents_first() if slot.tokens])
        self._laid = taken
        self._limit = min(self.room, count + max(2 * taken, _LEAST))
        return True

    def row(self, slot: Slot, token: int, *, output: bool) -> Row:
        """The next token of a slot, to be decoded."""
        slot.tokens.append(token)
        self._laid += 1
        return Row(token, len(slot.tokens) - 1, slot.sequence, output)

    def load(self, slot: Slot, tokens: Sequence[int], state: bytes) -> None:
        """Let a slot hold `tokens` as a Saving context kept them, if there is room."""
        assert isinstance(self._context, Saving)
        if not self.make_room(len(tokens)):
            return
        self.truncate(slot, 0)
        slot.parent, slot.shared = None, 0
        if self._context.load(state, len(tokens), sequence=slot.sequence):
            slot.tokens = list(tokens)
            self._laid += len(tokens)

    def truncate(self, slot: Slot, length: int) -> None:
        """Keep the first `length` positions of a slot; others keep what they share with it."""
        if length >= len(slot.tokens):
            return
        self._context.discard(length, sequence=slot.sequence)
        heirs = [other for other in self._slots if other.parent is slot and other.shared > length]
        if heirs:
            self._pass_on(slot, length, heirs)
        del slot.tokens[length:]
        slot.shared = min(slot.shared, length)

    def _give_up(self, slot: Slot, length: int) -> None:
        """Keep the first `length` positions of a slot whose text is finished."""
        self._remember(slot, length)
        self.truncate(slot, length)

    def _remember(self, slot: Slot, length: int) -> None:
        """Have what a slot holds kept elsewhere, if more than its first `length` positions are."""
        if self._recall is None or len(slot.tokens) - length < WORTH:
            return
        context = self._context
        assert isinstance(context, Saving)
        if context.state_size(slot.sequence) <= self._recall.limit:
            snapshot = Snapshot(tuple(slot.tokens), context.save(slot.sequence))
            self._recall.keep(Kept(snapshot, min(slot.wide, len(slot.tokens))))

    def _kept(self, tokens: Sequence[int], layout: Layout, held: int) -> Kept | None:
        """A text from elsewhere that begins with far more of `tokens` than the `held` ones."""
        if self._recall is None:
            return None
        return self._recall.find(
            lambda kept: _usable(kept.snapshot.tokens, kept.wide, tokens, layout), held
        )

    def _pass_on(self, slot: Slot, length: int, heirs: list[Slot]) -> None:
        """The heir with the most of what `slot` gives up takes it over, and shares it."""
        first = max(heirs, key=lambda heir: heir.shared)
        for heir in heirs:
            if heir is not first:
                heir.parent = first
        if length >= slot.shared:
            first.shared = length
        else:
            first.parent, first.shared = slot.parent, min(slot.shared, first.shared)

    def _parents_first(self) -> list[Slot]:
        order: list[Slot] = []

        def place(slot: Slot) -> None:
            if slot in order:
                return
            if slot.parent is not None and slot.shared:
                place(slot.parent)
            order.append(slot)

        for slot in self._slots:
            place(slot)
        return order

    def _taken(self, *, only_live: bool = False) -> int:
        """Positions in use; those of finished texts count only as far as live ones share them."""
        own = {slot: len(slot.tokens) - slot.shared for slot in self._slots}
        if not only_live:
            return sum(own.values())
        shares: dict[Slot, int] = {}
        for slot in self._slots:
            if slot.live:
                self._mark(slot, len(slot.tokens), shares)
        return sum(max(upto - slot.shared, 0) for slot, upto in shares.items())

    def _mark(self, slot: Slot, upto: int, shares: dict[Slot, int]) -> None:
        shares[slot] = max(shares.get(slot, 0), upto)
        if slot.parent is not None and slot.shared:
            self._mark(slot.parent, min(slot.shared, upto), shares)


def _held(slot: Slot) -> Held:
    parent = slot.parent.sequence if slot.parent is not None and slot.shared else slot.sequence
    return Held(slot.sequence, parent, slot.shared)


def _usable(held: Sequence[int], wide: int, tokens: Sequence[int], layout: Layout) -> int:
    known = min(common(held, tokens), len(tokens) - 1)
    return layout.usable(known, wide)


def common(mine: Sequence[int], yours: Sequence[int]) -> int:
    """Length of the common beginning; slices compare in C, so halving beats a loop."""
    low, high = 0, min(len(mine), len(yours))
    while low < high:
        middle = (low + high + 1) // 2
        if list(mine[low:middle]) == list(yours[low:middle]):
            low = middle
        else:
            high = middle - 1
    return low
