"""Inputs made from others: bits, bytes, words, cuts and splices, chosen by dice."""

from collections.abc import Sequence
from random import Random

_NUMBERS = (0, 1, 127, 255, 1 << 16, 1 << 31, (1 << 63) - 1, (1 << 64) - 1)


def mutated(inputs: Sequence[bytes], words: Sequence[bytes], dice: Random) -> bytes:
    """One of `inputs`, changed in one to eight places."""
    data = bytearray(dice.choice(inputs))
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                data[at : at + 8] = dice.choice(_NUMBERS).to_bytes(8, "little")
            case 2:
                del data[at : at + dice.randrange(64)]
            case 3:
                data[at:at] = dice.choice(words)
            case 4:
                other = dice.choice(inputs)
                data[at:] = other[dice.randrange(len(other) + 1) :]
            case _:
                again = data[at : at + dice.randrange(32)]
                data[at:at] = again * dice.choice((1, 2, 50))
    return bytes(data)
