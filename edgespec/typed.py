"""Settings as people type them."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from edgespec.config import FIELDS, KINDS, check, near, of_section
from edgespec.errors import InvalidInput


def parse(name: str, text: str) -> Any:
    """The value that a user typed for the setting `name`. Raises InvalidInput."""
    kind: Any = type(FIELDS[name].default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        return check(name, kind(text) if kind is str else kind(text.strip()))
    except (ValueError, KeyError):
        raise InvalidInput(f"{name} = {text!r}", f"it must be {KINDS[kind]}") from None


def parse_preset(text: str) -> dict[str, Any]:
    """The settings of a preset, as in "top_k = 1, temperature = 0". Raises InvalidInput."""
    try:
        found = tomllib.loads(f"preset = {{ {text} }}")["preset"]
    except tomllib.TOMLDecodeError:
        raise InvalidInput(
            f"{text.strip()!r} are no settings", 'write them as in top_k = 1, system = "Be brief."'
        ) from None
    here = of_section("answer")
    for key in found:
        if key not in here:
            raise InvalidInput(f"{key!r} is not a setting", near(key, here))
    return {key: check(key, value) for key, value in found.items()}


def spell(preset: Mapping[str, Any]) -> str:
    """The settings of a preset, as `parse_preset` reads them."""
    # JSON writes these values as TOML does.
    parts = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in preset.items()]
    return ", ".join(parts)
