"""Text files that go with a message: `@path` in it."""

import re
from dataclasses import dataclass
from pathlib import Path

from edgespec.cli.output import printable
from edgespec.errors import InvalidInput

_MENTION = re.compile(r'(?<!\S)@(?:"([^"\n]+)"|(\S+))')
_BEGUN = re.compile(r'(?<!\S)@(?:"[^"\n]*|\S*)$')
_LISTED = 8
_MOST = 4 << 20
"""Bytes of a file beyond which it is no attachment."""
_PER_TOKEN = 4
"""Bytes of English text in a token, roughly."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file and what it says."""

    path: Path
    text: str


def mentioned(text: str) -> list[Path]:
    """The files that exist of those that a message mentions."""
    names = [quoted or bare for quoted, bare in _MENTION.findall(text)]
    paths = [Path(name).expanduser() for name in dict.fromkeys(names)]
    return [path for path in paths if _is_file(path)]


def describe(path: Path) -> str:
    """A file's name, its size and roughly what it takes of the context."""
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    tokens = size // _PER_TOKEN + 1
    return f"{path.name}: {_size(size)}, about {tokens} token{'s' * (tokens != 1)}"


def read(path: Path) -> Attachment:
    """Read a text file. Raises InvalidInput if it is too large or no text."""
    try:
        if path.stat().st_size > _MOST:
            raise InvalidInput(f"{path} has more than {_MOST >> 20} MiB", "attach a part of it")
        return Attachment(path, path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidInput(f"{path} cannot be attached: {reason}") from error


def expand(text: str) -> str:
    """A message with the files it mentions behind it, each in a fence longer than any inside.

    Those of a message that is written anew are there already.
    """
    parts = [text]
    for path in mentioned(text):
        if f"\n\n{path}:\n\n```" in text:
            continue
        attached = read(path)
        longest = max(map(len, re.findall("`{3,}", attached.text)), default=2)
        fence = "`" * (longest + 1)
        body = attached.text.rstrip("\n")
        parts.append(f"{path}:\n\n{fence}{path.suffix.lstrip('.')}\n{body}\n{fence}")
    return "\n\n".join(parts)


def begun(line: str) -> str:
    """The mention that is being typed at the end of `line`, empty if there is none."""
    found = _BEGUN.search(line)
    return found[0] if found else ""


def completions(word: str) -> list[str]:
    """What `word`, which begins with @, can become: files and folders, the latter with a slash."""
    typed = word.removeprefix("@").removeprefix('"')
    head, _, start = typed.rpartition("/")
    prefix = f"{head}/" if head or typed.startswith("/") else ""
    try:
        folder = Path(prefix or ".").expanduser()
        found = sorted(folder.iterdir(), key=lambda path: path.name.lower())
    except (OSError, RuntimeError):
        return []
    shown = [path for path in found if start.startswith(".") or not path.name.startswith(".")]
    shown = [path for path in shown if path.name == printable(path.name)]
    fitting = [path for path in shown if path.name.lower().startswith(start.lower())]
    return [_mention(prefix + path.name + "/" * path.is_dir()) for path in fitting[:_LISTED]]


def files(begun: str) -> list[str]:
    """The files and folders that `begun` can become."""
    return [mention[1:].strip('"') for mention in completions(f"@{begun}")]


def _mention(name: str) -> str:
    if not re.search(r"\s", name):
        return f"@{name}"
    return f'@"{name}' + '"' * (not name.endswith("/"))  # Within a folder, one goes on.


def _size(count: int) -> str:
    """Bytes for people."""
    for unit, least in (("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} byte{'s' * (count != 1)}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
