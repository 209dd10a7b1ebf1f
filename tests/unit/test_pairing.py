"""Which drafters are accepted for a target, and what is said of the others."""

import pytest

from edgespec.errors import ExitCode, VocabularyMismatch
from edgespec.pairing import require_same_vocabulary
from tests.fakes import FakeTokenizer


class Vocabulary(FakeTokenizer):
    """A tokenizer of given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(32)
        self._pieces = pieces
        self.n_vocab = len(pieces)


WORDS = [f"word {n}".encode() for n in range(1000)]


@pytest.mark.parametrize("padding", [-128, -1, 0, 1, 128])
def test_a_vocabulary_may_end_in_up_to_128_ids_more_or_less(padding: int) -> None:
    target, drafter = Vocabulary(WORDS[:500]), Vocabulary(WORDS[: 500 + padding])
    require_same_vocabulary(target, drafter)


@pytest.mark.parametrize("padding", [-129, 129])
def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(padding: int) -> None:
    target, drafter = Vocabulary(WORDS[:500]), Vocabulary(WORDS[: 500 + padding])
    with pytest.raises(VocabularyMismatch, match=rf"\b{500 + padding} tokens.*\b500\b"):
        require_same_vocabulary(target, drafter)


@pytest.mark.parametrize("token", [0, 250, 499])
def test_one_token_of_another_text_is_refused_and_named(token: int) -> None:
    other = [*WORDS[:token], b"\xff\n", *WORDS[token + 1 : 500]]
    with pytest.raises(VocabularyMismatch) as caught:
        require_same_vocabulary(Vocabulary(WORDS[:500]), Vocabulary(other))
    assert f"token {token} is 'word {token}' for the target" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "no-speculate" in caught.value.hint
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_a_difference_in_the_padding_alone_is_accepted() -> None:
    require_same_vocabulary(Vocabulary([*WORDS, b"pad"]), Vocabulary(WORDS))
