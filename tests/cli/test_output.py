import pytest

from edgespec.cli.output import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("é 漢 🙂", "é 漢 🙂"),
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("over\rwritten\x08", "over␍written␈"),
        ("\x9b2J\x7f\0", "�2J␡␀"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert printable(text) == shown
