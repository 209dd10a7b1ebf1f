"""The files of an exported model: the graph, and what lies with it in the Hub's layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgespec.errors import ModelFileError

_DEFAULT_CONTEXT = 2048


class ModelFiles:
    """What belongs to the graph at `graph`: beside it, or in the folder above.

    Raises ModelFileError if the configuration or the tokenizer is missing or not JSON.
    """

    def __init__(self, graph: Path) -> None:
        self.graph = graph
        self.config = self._object("config.json")
        self.generation = self._object("generation_config.json", needed=False)
        self.settings = self._object("tokenizer_config.json", needed=False)
        self.tokenizer = self._needed("tokenizer.json")

    @property
    def context_length(self) -> int:
        """The longest context that the model was made for."""
        length = self.hyperparameter("max_position_embeddings")
        return length if isinstance(length, int) and length > 0 else _DEFAULT_CONTEXT

    def hyperparameter(self, name: str) -> Any:
        """A value of the configuration, whose text part may stand in an object of its own."""
        part = self.config.get("text_config")
        nested = part.get(name) if isinstance(part, dict) else None
        return self.config.get(name, nested)

    def end_tokens(self) -> frozenset[int]:
        """The ids that end an answer."""
        found: set[int] = set()
        for table in (self.config, self.generation):
            ids = table.get("eos_token_id")
            found.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
        return frozenset(found)

    def chat_template(self) -> str | None:
        """The template in its file or in the tokenizer's settings."""
        if file := self._find("chat_template.jinja"):
            return file.read_text(encoding="utf-8")
        template = self.settings.get("chat_template")
        return template if isinstance(template, str) else None

    def _find(self, name: str) -> Path | None:
        places = (folder / name for folder in (self.graph.parent, self.graph.parent.parent))
        return next((file for file in places if file.is_file()), None)

    def _needed(self, name: str) -> Path:
        if file := self._find(name):
            return file
        raise ModelFileError(
            f"{name} is missing: it lies neither beside {self.graph} nor in the folder above",
            "download the whole model",
        )

    def _object(self, name: str, *, needed: bool = True) -> Mapping[str, Any]:
        file = self._needed(name) if needed else self._find(name)
        if file is None:
            return {}
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ModelFileError(f"{file} cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise ModelFileError(f"{file} does not hold an object")
        return value
