"""What was measured of a pair on this machine, kept on disk between runs."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgespec import own_files
from edgespec.acceptance import AcceptanceModel
from edgespec.costs import CostTable

_FORMAT = 1
_EDGE = 1 << 16
_OLD = 30 * 24 * 3600.0
_SHORTEST, _LONGEST = 1e-9, 1e6
_UNUSABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measurements:
    """A cost table and the acceptance learnt so far; `measured` is the table's Unix time.

    The drafter ran on the processors `drafter` (none = wherever the system put it).
    """

    costs: CostTable
    acceptance: AcceptanceModel
    measured: float
    drafter: tuple[int, ...] = ()

    @property
    def old(self) -> bool:
        """True if the table should be measured again."""
        return not 0 <= time.time() - self.measured <= _OLD


class MeasurementStore:
    """One small JSON file per combination of models, settings and machine, in `folder`.

    What cannot be read or written is as if it were not there: it can be measured again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> Measurements | None:
        """What was saved under `key`, None if there is nothing usable."""
        try:
            data = json.loads(self._file(key).read_text("utf-8"))
            if data["format"] != _FORMAT:
                return None
            acceptance = AcceptanceModel.from_json(data["acceptance"])
            measured, drafter = float(data["measured"]), tuple(map(int, data.get("drafter", ())))
            return Measurements(_table(data["costs"]), acceptance, measured, drafter)
        except _UNUSABLE:
            return None

    def save(self, key: str, measurements: Measurements) -> None:
        """Replace what `key` held, in one step that other processes see whole or not at all."""
        data = {
            "format": _FORMAT,
            "costs": asdict(measurements.costs),
            "acceptance": measurements.acceptance.to_json(),
            "measured": measurements.measured,
            "drafter": measurements.drafter,
        }
        with suppress(OSError):
            own_files.replace(self._file(key), json.dumps(data))

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def key(*parts: object) -> str:
    """A file name for everything that a measurement depends on."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def pair_key(files: Sequence[Path], threads: int, outputs: int, *more: object) -> str:
    """The key of a pair's `files`, the target's first, decoded with `threads` threads.

    `outputs` are the rows of logits of the largest batch; `more` is whatever else was not as
    usual.
    """
    return key(*map(identity, files), threads, outputs, version("llama-cpp-python"), *more)


def identity(path: Path) -> str:
    """Tells model files apart without reading them whole: size and a hash of both ends."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        digest = sha256(file.read(_EDGE))
        file.seek(max(size - _EDGE, 0))
        digest.update(file.read(_EDGE))
    return f"{size}-{digest.hexdigest()}"


def _table(data: Mapping[str, Any]) -> CostTable:
    table = CostTable(
        verify={int(depth): _seconds(sizes, _SHORTEST) for depth, sizes in data["verify"].items()},
        draft=_seconds(data["draft"], 0.0),
        verify_contention=_number(data["verify_contention"], 1.0),
        draft_contention=_number(data["draft_contention"], 1.0),
        draft_row=_number(data["draft_row"], 0.0),
    )
    if not table.verify or not table.draft or not all(1 in row for row in table.verify.values()):
        raise ValueError("the table lacks what everything else is compared with")
    return table


def _seconds(data: Mapping[str, Any], least: float) -> dict[int, float]:
    return {int(size): _number(seconds, least) for size, seconds in data.items()}


def _number(value: Any, least: float) -> float:
    number = float(value)
    if not least <= number <= _LONGEST:
        raise ValueError(f"{number} was not measured")
    return number
