"""Which keys do what: the usual ones, unless the user gave an action others; and what to call them.

What has a key goes by the action's name, by that and "-message" for its key on a message; `send`
and `newline` are the composer's own.
"""

import re
from collections.abc import Mapping

from edgespec.errors import InvalidInput
from edgespec_tui.actions import ACTIONS, BY_ID
from edgespec_tui.widgets.composer import NEWLINE, SEND

ON_MESSAGE = "-message"

USUAL = {
    **{action.id: action.key for action in ACTIONS if action.key},
    **{action.id + ON_MESSAGE: action.own_key for action in ACTIONS if action.own_key},
    "send": SEND,
    "newline": NEWLINE,
}
"""The keys that everything has to begin with."""
BACK = "back"
"""What Esc does where there is nothing to stop; it goes along with no other key."""
_KEYS = re.compile(r"[a-z0-9_]+(\+[a-z0-9_]+)*(,[a-z0-9_]+(\+[a-z0-9_]+)*)*")
_NAMES = {"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn"}


def keymap(own: Mapping[str, str]) -> dict[str, str]:
    """The keys of everything that has some; `own` are those that the user chose."""
    return {**USUAL, **own}


def bindings(own: Mapping[str, str]) -> dict[str, str]:
    """`keymap`, as Textual wants it: of two bindings of a key it forgets the one without a name."""
    return {BACK: "escape", **keymap(own)}


def check(name: str, keys: str, own: Mapping[str, str]) -> None:
    """Raise InvalidInput unless `name` can have `keys`, such as "ctrl+r,f5", beside `own` ones.

    Without `keys` it gets its usual ones.
    """
    if name not in USUAL:
        raise InvalidInput(f"{name!r} has no key", f"these have: {', '.join(USUAL)}")
    keys = keys or USUAL[name]
    if not _KEYS.fullmatch(keys):
        raise InvalidInput(f"{keys!r} is not a key", "write it as in ctrl+r, or ctrl+r,f5")
    for other, taken in keymap(own).items():
        alike = name.endswith(ON_MESSAGE) == other.endswith(ON_MESSAGE)
        if other != name and alike and set(keys.split(",")) & set(taken.split(",")):
            raise InvalidInput(f"{keys} is a key of {other}", f"/key {other} gives it another")


def check_all(own: Mapping[str, str]) -> None:
    """Raise InvalidInput unless all keys that the user chose can be had beside each other."""
    for name, wanted in own.items():
        check(name, wanted, {other: its for other, its in own.items() if other != name})


def meaning(name: str) -> str:
    """What the keys of `name` do, for people."""
    own = {"send": "Send what is typed.", "newline": "Begin a new line."}
    if name in own:
        return own[name]
    text = BY_ID[name.removesuffix(ON_MESSAGE)].help
    return f"On a message: {text[0].lower()}{text[1:]}" if name.endswith(ON_MESSAGE) else text


def named(keys: str) -> str:
    """Keys as people write them: "ctrl+n,f5" is "Ctrl+N, F5", a letter alone stays as it is."""
    return ", ".join(_named(key) for key in keys.split(",") if key)


def _named(key: str) -> str:
    if len(key) == 1:
        return key
    parts = key.split("+")
    return "+".join(_NAMES.get(part, part.capitalize()) for part in parts)
