"""The members of one JSON object, each read once and checked; what nobody read is refused."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from edgespec.batch.strict_json import Fault, Path

_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


class Fields:
    """Reads `data`, which stands at `path` of its line. Null is the same as absent."""

    def __init__(self, data: Mapping[str, Any], path: Path = ()) -> None:
        self._data = data
        self.path = path
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._data.get(name) is not None

    def at(self, name: str | int) -> Path:
        """The path of member `name`."""
        return (*self.path, name)

    def ignore(self, names: Collection[str]) -> None:
        """Members that change nothing here."""
        self._read.update(names)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self._take(name, str)
        assert value is None or isinstance(value, str)
        return value

    def scalar(self, name: str) -> str | int | None:
        """A string or a whole number."""
        value = self._take(name, str, int)
        assert value is None or isinstance(value, str | int)
        return value

    def number(self, name: str) -> float | int | None:
        """A number."""
        value = self._take(name, float, int)
        assert value is None or isinstance(value, float | int)
        return value

    def integer(self, name: str, least: int, most: int) -> int | None:
        """A whole number from `least` to `most`."""
        value = self._take(name, int)
        if value is not None and not least <= value <= most:
            raise Fault(f"{name} is {value}; it must be {least} to {most}", self.at(name))
        assert value is None or isinstance(value, int)
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self._take(name, bool)
        assert value is None or isinstance(value, bool)
        return value

    def strings(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, or a single one."""
        value = self._take(name, list, str)
        if value is None:
            return None
        items = [value] if isinstance(value, str) else value
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise Fault(f"{name} must hold strings", (*self.at(name), index))
        return tuple(items)

    def object(self, name: str) -> "Fields | None":
        """A nested object."""
        value = self._take(name, dict)
        return None if value is None else Fields(value, self.at(name))

    def objects(self, name: str) -> "list[Fields] | None":
        """A list of objects, not empty."""
        value = self._take(name, list)
        if value is None:
            return None
        if not value:
            raise Fault(f"{name} is empty", self.at(name))
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise Fault(f"{name} must hold objects", (*self.at(name), index))
        return [Fields(item, (*self.at(name), index)) for index, item in enumerate(value)]

    def items(self) -> Mapping[str, Any]:
        """All members, unchecked."""
        self._read.update(self._data)
        return self._data

    def value(self, name: str, *kinds: type) -> Any:
        """A member of one of `kinds`, as it is."""
        return self._take(name, *kinds)

    def require(self, name: str) -> None:
        """Raise Fault if the member is not there."""
        if name not in self:
            raise Fault(f"{name} is missing", self.path)

    def finish(self) -> None:
        """Raise Fault for a member that nobody read: it is misspelt, or asks for too much."""
        for name in self._data:
            if name not in self._read:
                close = get_close_matches(name, self._read, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise Fault(f"{name[:40]!r} is not known here{hint}", self.at(name))

    def _take(self, name: str, *kinds: type) -> Any:
        self._read.add(name)
        value = self._data.get(name)
        # In Python true is a number, in JSON it is not.
        if value is None or type(value) in kinds:
            return value
        shown = [kind for kind in kinds if kind is not int or float not in kinds]
        wanted = " or ".join(_NAMES[kind] for kind in shown)
        found = _NAMES[type(value)]
        raise Fault(f"{name} must be {wanted}, it is {found}", self.at(name))
