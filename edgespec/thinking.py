"""What a model thinks before it answers, told apart from the answer."""

from dataclasses import dataclass

BEGIN, END = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a text; `open` if the thinking has not come to its end."""

    thought: str
    answer: str
    open: bool = False


def divide(text: str) -> Parts:
    """Divide an answer; one that begins in the middle of a thought has only its end mark."""
    begun = text.lstrip().startswith(BEGIN)
    head, mark, rest = text.partition(END)
    if mark:
        return Parts(head.lstrip().removeprefix(BEGIN).strip(), rest.lstrip("\n"))
    if begun:
        return Parts(text.lstrip().removeprefix(BEGIN).lstrip(), "", open=True)
    return Parts("", text)
