"""The settings in use while one chats: the file's, the command line's, and a preset's over them."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgespec import config, typed
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
        self.used = ""
        """The name of the preset in use."""
        self._file = file
        self._stop = stop
        self._preset: Mapping[str, Any] = {}
        self._drawn = secrets.randbits(32)

    def changed(self, **changes: Any) -> Settings:
        """What the settings would be with `changes`. Raises InvalidInput for a wrong value."""
        return config.changed(self.settings, changes)

    def change(self, **changes: Any) -> None:
        """Change settings, for good. Raises EdgespecError."""
        new = self.changed(**changes)
        if self._file:
            config.save(self._file, config.load(self._file), **changes)
        self.settings = new
        if self.used in changes.get("presets", {}):
            self._use(self.used if self.used in new.presets else "")
        self._preset = {name: value for name, value in self._preset.items() if name not in changes}

    def use_preset(self, text: str) -> Mapping[str, Any]:
        """Answer with the settings of a preset from now on, without one as usual; what it sets.

        One that is typed with its settings, as in "exact: top_k = 1", is kept, for good; one that
        is typed with none behind the colon goes. Raises InvalidInput if there is no such preset.
        """
        self.read_presets()
        name, colon, values = text.partition(":")
        if colon and text not in self.settings.presets:
            text = self._keep_preset(name.strip(), values.strip())
        if text:
            self._require_preset(text)
        self._use(text)
        return self._preset

    def read_presets(self) -> None:
        """See which presets the user wrote into the file since."""
        if self._file:
            mine = {**self.settings.presets, **config.load(self._file).presets}
            self.settings = replace(self.settings, presets=mine)

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

    def _keep_preset(self, name: str, values: str) -> str:
        """Write a preset, or remove it; the name of the one to use then."""
        if not name:
            raise InvalidInput("a preset needs a name", "as in exact: top_k = 1")
        if not values:
            self._require_preset(name)
        self.change(presets={name: typed.parse_preset(values)})
        return name if values else ""

    def _require_preset(self, name: str) -> None:
        presets = self.settings.presets
        if name not in presets:
            known = f"there are {', '.join(presets)}" if presets else "see docs/settings.md"
            raise InvalidInput(f"there is no preset {name!r}", known)

    def _use(self, preset: str) -> None:
        self.used = preset
        self._preset = self.settings.presets[preset] if preset else {}


def told(preset: str, chosen: Mapping[str, Any]) -> str:
    """What a preset sets, for people."""
    values = ", ".join(f"{key.replace('_', ' ')} {value!r}" for key, value in chosen.items())
    return f"{preset}: {values}" if preset else "the usual settings"
