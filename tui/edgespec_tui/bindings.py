"""The keys of the actions, as Textual wants them."""

from textual.binding import Binding, BindingType

from edgespec_tui.actions import ACTIONS


def screen_bindings() -> list[BindingType]:
    """The keys that work everywhere."""
    return [
        Binding(
            action.key,
            f"screen.do('{action.id}')",
            action.title,
            id=action.id,
            show=action.shown,
            tooltip=action.help,
            priority=action.key != "escape",
        )
        for action in ACTIONS
        if action.key
    ]


def message_bindings() -> list[BindingType]:
    """The keys that work on a message."""
    return [
        Binding(
            action.own_key,
            f"screen.do('{action.id}')",
            action.title,
            id=f"{action.id}-message",
            show=action.own_key not in ("left", "right"),
            tooltip=action.help,
        )
        for action in ACTIONS
        if action.own_key
    ]
