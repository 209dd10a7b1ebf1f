"""The user's settings: a commented TOML file, checked key by key, and what they are without it."""

import re
import tomllib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgespec import own_files, paths
from edgespec.errors import EdgespecError, InvalidInput

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

HEADER = "edgespec's settings. What is not here has its default; docs/settings.md lists all."


def _setting(default: Any, section: str, text: str, least: float = 0, most: float = 0) -> Any:
    """A field of Settings. Numbers lie between `least` and `most`, if `most` is more."""
    return field(
        default=default,
        metadata={"section": section, "text": text, "least": least, "most": most},
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with its default, its place in the file and what it means."""

    model: str = _setting("", "model", "Name or GGUF file; empty = the largest that was pulled.")
    drafter: str = _setting("", "model", "Name or GGUF file; empty = the model's own drafter.")
    context: int = _setting(
        0, "model", "Tokens of context; 0 = the model's own, at most 8192.", 0, 1 << 24
    )
    threads: int = _setting(
        0, "model", "Threads of the target; 0 = as many as are fastest, by measurement.", 0, 1024
    )
    device: str = _setting("", "model", "The target's device; empty = by plan, CPU for none.")
    gpu_layers: int = _setting(
        -2, "model", "Layers of the target on its device; -1 = all, -2 = by plan.", -2, 1 << 16
    )
    drafter_device: str = _setting("", "model", "The drafter's; empty = by plan, CPU for none.")
    cpu_experts: int = _setting(
        -2, "model", "Layers whose experts stay with the CPU; -1 = all, -2 = by plan.", -2, 1 << 16
    )
    cpus: str = _setting(
        "", "model", "Processors of the target, as in 0-3,8; empty = by measurement."
    )
    drafter_cpus: str = _setting(
        "", "model", "Processors of a drafter on the CPU; empty = by measurement."
    )
    kv_type: str = _setting("f16", "model", "Type of the target's cache: f16, q8_0 or q4_0.")
    attention: str = _setting(
        "auto", "model", "flash, plain, or auto: what is faster here, by measurement."
    )
    speculate: bool = _setting(True, "model", "false decodes plainly, without drafts.")
    draft_length: int = _setting(
        0, "model", "Drafts in every round; 0 = as many as pay, by measurement.", 0, 64
    )
    snapshots: int = _setting(
        1024, "model", "MiB on disk for what the models' caches held; 0 = none.", 0, 1 << 24
    )
    system: str = _setting("", "answer", "System message of new conversations.")
    temperature: float = _setting(0.8, "answer", "0 always takes the likeliest token.", 0, 100)
    top_k: int = _setting(40, "answer", "Sample from the N likeliest; 0 = all.", 0, 1 << 30)
    top_p: float = _setting(0.95, "answer", "Sample from the likeliest that add up to N.", 1e-6, 1)
    min_p: float = _setting(
        0.05, "answer", "Least probability, relative to the likeliest.", 0, 0.999999
    )
    repeat_penalty: float = _setting(
        1.0, "answer", "Penalty on recent tokens; 1 = none.", 0.01, 100
    )
    max_tokens: int = _setting(
        0, "answer", "Longest answer; 0 = up to the end of the context.", 0, 1 << 24
    )
    seed: int = _setting(-1, "answer", "Of a conversation's first answer; -1 = random.", -1, 2**63)
    theme: str = _setting("", "look", "A theme's name; empty = edgespec's own.")
    refresh: int = _setting(
        10, "look", "Most updates of the screen per second while text comes.", 1, 60
    )
    sources: bool = _setting(False, "look", "Mark where each token of an answer came from.")
    presets: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata={
            "section": "presets",
            "text": "[presets.NAME] has settings of [answer] that go together.",
        },
    )
    keys: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"section": "keys", "text": 'An action\'s keys, as in: regenerate = "ctrl+r,f5"'},
    )


FIELDS = {item.name: item for item in fields(Settings)}


TABLES = ("presets", "keys")
"""Sections whose keys are the user's own names."""
_SECTIONS = {item.metadata["section"] for item in FIELDS.values()}
KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
"""What values are called, for people."""


def file() -> Path:
    """Where the settings are kept."""
    return paths.config_dir() / "settings.toml"


def load(path: Path) -> Settings:
    """The settings in `path`; the defaults if there is no such file.

    Raises InvalidInput, naming the line, for what cannot be used.
    """
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path}: {error}", "mend or remove it") from error
    values: dict[str, Any] = {}
    for section, keys in table.items():
        if section not in _SECTIONS or not isinstance(keys, dict):
            raise _wrong(path, text, section, None, "is not a section", near(section, _SECTIONS))
        found = {key: _read_value(path, text, section, key, value) for key, value in keys.items()}
        values |= {section: found} if section in TABLES else found
    return Settings(**values)


def check(name: str, value: Any) -> Any:
    """`value` as the setting `name` keeps it. Raises InvalidInput, saying what it must be."""
    item = FIELDS[name]
    default: Any = item.default
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise InvalidInput(f"{name} = {value!r}", f"it must be {KINDS[type(default)]}")
    least, most = item.metadata["least"], item.metadata["most"]
    if most > least and not least <= value <= most:
        raise InvalidInput(f"{name} = {value}", f"it must be between {least} and {most}")
    return value


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """`settings` with `changes`. Raises InvalidInput for a wrong value.

    Of presets and keys only those named change; what is named without a value goes.
    """
    new: dict[str, Any] = {}
    for name, value in changes.items():
        if name in TABLES:
            both = {**getattr(settings, name), **value}
            new[name] = {key: one for key, one in both.items() if one or key not in value}
        else:
            new[name] = check(name, value)
    return replace(settings, **new)


def save(path: Path, settings: Settings, **changes: Any) -> Settings:
    """Change some settings, as `changed` does, here and in `path`; comments and order stay.

    Raises InvalidInput for a wrong value, EdgespecError if the file cannot be written.
    """
    import tomlkit  # Not needed to read them, and starting shall cost little.

    new = changed(settings, changes)
    document = tomlkit.parse(_read(path))
    for name, value in changes.items():
        table = _table(document, FIELDS[name].metadata["section"])
        if name in TABLES:
            _merge(table, value)
            continue
        if name not in table and isinstance(table, tomlkit.items.Table):
            table.add(tomlkit.comment(FIELDS[name].metadata["text"]))
        table[name] = value
    _write(path, tomlkit.dumps(document))
    return new


def _merge(table: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Set what has a value, remove what has none."""
    for name, value in changes.items():
        if not value:
            table.pop(name, None)
        elif isinstance(value, Mapping) and name in table:
            for key in [key for key in table[name] if key not in value]:
                table[name].pop(key)
            for key, one in value.items():
                table[name][key] = one
        else:
            table[name] = value


def _table(document: "TOMLDocument", section: str) -> MutableMapping[str, Any]:
    """The table of `section`, begun if need be."""
    import tomlkit

    if not document.body:
        document.add(tomlkit.comment(HEADER))
    if section not in document:
        document.add(tomlkit.nl())
        document.add(section, tomlkit.table())
    table = document[section]
    assert isinstance(table, MutableMapping)
    return table


def _read_value(path: Path, text: str, section: str, key: str, value: Any) -> Any:
    """What `key` of `section` is set to."""
    if section == "keys":
        if not isinstance(value, str):
            raise _wrong(path, text, section, key, "is not text", 'as in "ctrl+r"')
        return value
    if section == "presets":
        here = f"{section}.{key}"
        if not isinstance(value, dict):
            raise _wrong(path, text, section, key, "is no section", f"write [{here}]")
        return {
            name: _checked(path, text, here, name, one, "answer") for name, one in value.items()
        }
    return _checked(path, text, section, key, value, section)


def _checked(path: Path, text: str, section: str, key: str, value: Any, like: str) -> Any:
    """A setting of the section `like`, which stands in `section`."""
    here = of_section(like)
    if key not in here:
        raise _wrong(path, text, section, key, "is not a setting", near(key, here))
    try:
        return check(key, value)
    except InvalidInput as error:
        raise _wrong(path, text, section, key, f"is {value!r}", error.hint) from error


def _wrong(
    path: Path, text: str, section: str, key: str | None, what: str, hint: str
) -> InvalidInput:
    name = f"{section}.{key}" if key else section
    return InvalidInput(f"{path}, line {_line(text, section, key)}: {name} {what}", hint)


def _line(text: str, section: str, key: str | None) -> int:
    """The number of the line in which `key` of `section` is set, 1 if it is hard to find."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            current = header[1].strip()
        bare = rf"""\s*["']?{re.escape(key or section)}["']?\s*[=.]"""
        if (key is None and current == section) or (
            re.match(bare, line) and current == (section if key else "")
        ):
            return number
    return 1


def of_section(section: str) -> list[str]:
    """The settings of `section`."""
    return [name for name, item in FIELDS.items() if item.metadata["section"] == section]


def near(word: str, known: Any) -> str:
    """What may be meant by `word`, which is none of `known`."""
    found = get_close_matches(word, known, 1)
    return f"did you mean {found[0]}?" if found else f"known are {', '.join(sorted(known))}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidInput(f"{path} cannot be read: {reason}", "mend or remove it") from error


def _write(path: Path, text: str) -> None:
    try:
        own_files.replace(path, text)
    except OSError as error:
        raise EdgespecError(f"{path} cannot be written: {error.strerror}") from error
