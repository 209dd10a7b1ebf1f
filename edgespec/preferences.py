"""The settings in use while one chats: the file's, the command line's, and a preset's over them."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgespec import config
from edgespec.config import FIELDS, Settings
from edgespec.errors import InvalidInput
from edgespec.events import Request
from edgespec.sampling.params import SamplingParams

_OF_THE_MODEL = {name for name, item in FIELDS.items() if item.metadata["section"] == "model"}


def concern_model(changes: Mapping[str, Any]) -> bool:
    """Whether `changes` take effect by loading the model again."""
    return bool(_OF_THE_MODEL & changes.keys())


class Preferences:
    """`settings` without a preset's. What is changed is kept in `file`, if there is one.

    What the command line said holds for this time only: it is not in the file.
    """

    def __init__(self, settings: Settings, file: Path | None, stop: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self._file = file
        self._stop = stop
        self._preset: Mapping[str, Any] = {}
        self._drawn = secrets.randbits(32)

    def changed(self, **changes: Any) -> Settings:
        """What the settings would be with `changes`. Raises InvalidInput for a wrong value."""
        return replace(
            self.settings, **{name: config.check(name, value) for name, value in changes.items()}
        )

    def change(self, **changes: Any) -> None:
        """Change settings, for good. Raises EdgespecError."""
        new = self.changed(**changes)
        if self._file:
            config.save(self._file, config.load(self._file), **changes)
        self.settings = new
        self._preset = {name: value for name, value in self._preset.items() if name not in changes}

    def use_preset(self, name: str) -> Mapping[str, Any]:
        """Answer with the settings of a preset from now on, without one as usual; what it sets.

        Raises InvalidInput if there is no such preset.
        """
        if self._file:  # Where the user may have written one since.
            mine = {**self.settings.presets, **config.load(self._file).presets}
            self.settings = replace(self.settings, presets=mine)
        presets = self.settings.presets
        if name and name not in presets:
            known = f"there are {', '.join(presets)}" if presets else "see docs/settings.md"
            raise InvalidInput(f"there is no preset {name!r}", known)
        self._preset = presets[name] if name else {}
        return self._preset

    def request(self) -> Request:
        """What to ask of an engine for a conversation's first answer, but for the prompt.

        Raises InvalidInput for a value out of its range.
        """
        settings = replace(self.settings, **self._preset)
        sampling = SamplingParams(
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
            repeat_penalty=settings.repeat_penalty,
            seed=settings.seed if settings.seed >= 0 else self._drawn,
        )
        return Request(
            prompt=(),
            sampling=sampling,
            max_tokens=settings.max_tokens or None,
            stop=self._stop,
            speculate=settings.speculate,
        )


def told(preset: str, chosen: Mapping[str, Any]) -> str:
    """What a preset sets, for people."""
    values = ", ".join(f"{key.replace('_', ' ')} {value!r}" for key, value in chosen.items())
    return f"{preset}: {values}" if preset else "the usual settings"
