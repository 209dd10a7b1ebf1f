"""Pieces of prompts: the same cuts, and the same kind of step, whatever was taken over."""

from random import Random

from edgespec.batch.layout import WIDE, Layout


def kinds(length: int, size: int) -> list[bool]:
    """For each token of a prompt decoded alone, whether its piece is wide."""
    pieces = [min(size, length - start) for start in range(0, length, size)]
    return [piece >= WIDE for piece in pieces for _ in range(piece)]


def test_each_token_stands_in_a_step_of_its_kind() -> None:
    random = Random(0)
    for _ in range(2000):
        size = random.choice([64, 100, 512])
        mine = Layout(random.randint(1, 1200), size)
        other = Layout(random.randint(1, 1200), size)
        known = random.randint(0, min(mine.length, other.length))
        expected = kinds(mine.length, size)
        assert mine.wide == sum(expected)
        held = mine.usable(known, other.wide)
        assert 0 <= held <= known
        assert kinds(other.length, size)[:held] == expected[:held]
        while (end := mine.piece(held)) > held:
            assert end - held >= WIDE
            assert end % size == 0 or end == mine.length
            assert all(expected[held:end])
            held = end
        assert not any(expected[held:])


def test_what_is_known_is_taken_over_as_far_as_possible() -> None:
    assert Layout(30, 512).usable(20, 0) == 20
    assert Layout(100, 512).usable(20, 0) == 0
    assert Layout(30, 512).usable(20, 100) == 0
    assert Layout(600, 512).usable(599, 600) == 600 - WIDE
    assert Layout(600, 512).usable(400, 600) == 400
    assert Layout(520, 512).usable(519, 512) == 519
