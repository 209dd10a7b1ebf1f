"""edgespec's own themes; Textual's others can be chosen as well.

The colours of the three sources of tokens are the theme's: the target is `primary`, the drafter
`accent`, suffix matches `secondary`.
"""

import os

from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="edgespec",
    primary="#6fb3a8",
    secondary="#a894d8",
    accent="#e0a860",
    warning="#e0a860",
    error="#e07a72",
    success="#8fbf7f",
    foreground="#d9dce1",
    background="#14161a",
    surface="#1a1d22",
    panel="#23272e",
    dark=True,
    variables={
        "block-cursor-text-style": "none",
        "block-cursor-background": "#2a3d3b",
        "block-cursor-foreground": "#ffffff",
        "footer-background": "#14161a",
        "footer-item-background": "#14161a",
        "footer-description-background": "#14161a",
        "footer-key-background": "#14161a",
        "footer-key-foreground": "#6fb3a8",
        "footer-description-foreground": "#8b929c",
        "input-selection-background": "#6fb3a8 35%",
        "scrollbar": "#2f353e",
        "scrollbar-hover": "#4a525e",
        "scrollbar-active": "#6fb3a8",
        "scrollbar-background": "#14161a",
        "scrollbar-background-hover": "#14161a",
        "scrollbar-background-active": "#14161a",
        "scrollbar-corner-color": "#14161a",
    },
)
LIGHT = Theme(
    name="edgespec-light",
    primary="#1f7a6d",
    secondary="#6a4fb0",
    accent="#a2630c",
    warning="#a2630c",
    error="#b3372d",
    success="#3e7a2e",
    foreground="#22262b",
    background="#fafaf7",
    surface="#f2f2ee",
    panel="#e6e6e0",
    dark=False,
    variables={
        "block-cursor-text-style": "none",
        "block-cursor-background": "#d3e7e3",
        "block-cursor-foreground": "#000000",
        "footer-background": "#fafaf7",
        "footer-item-background": "#fafaf7",
        "footer-description-background": "#fafaf7",
        "footer-key-background": "#fafaf7",
        "footer-key-foreground": "#1f7a6d",
        "footer-description-foreground": "#666d76",
        "input-selection-background": "#1f7a6d 25%",
        "scrollbar": "#cfcfc8",
        "scrollbar-hover": "#b0b0a8",
        "scrollbar-active": "#1f7a6d",
        "scrollbar-background": "#fafaf7",
        "scrollbar-background-hover": "#fafaf7",
        "scrollbar-background-active": "#fafaf7",
        "scrollbar-corner-color": "#fafaf7",
    },
)
OWN = (DARK, LIGHT)


def shades(theme: Theme) -> dict[str, str]:
    """`muted` and `faint`: the text colour on its way to the background.

    A terminal's own colours cannot be mixed, but it has a grey.
    """
    if theme.ansi or not theme.foreground or not theme.background:
        return {"muted": "ansi_bright_black", "faint": "ansi_bright_black"}
    text, ground = Color.parse(theme.foreground), Color.parse(theme.background)
    return {"muted": text.blend(ground, 0.35).hex, "faint": text.blend(ground, 0.6).hex}


def usual() -> str:
    """The theme to use if none was chosen: without colours of its own where colour is unwanted."""
    return "ansi-dark" if "NO_COLOR" in os.environ else DARK.name
