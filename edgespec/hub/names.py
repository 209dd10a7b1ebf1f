"""Names from outside: repositories, revisions and files, checked before they become a path.

Whoever uploads a repository chooses the names in it, so they are data: nothing here lets one leave
its folder, and `shown` lets none drive a terminal.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgespec.errors import InvalidInput

PREFIX = "hf:"
FORM = "hf:owner/repository, hf:owner/repository:QUANT or hf:owner/repository@REVISION:QUANT"

_DEEPEST = 4
_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(f"{_WORD}/{_WORD}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.+ ()=,-]{0,198}[A-Za-z0-9_)])?")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for itself, with any extension."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A model of the Hub as a user asks for it.

    `choice` is a quantization or a file, None for the one that fits best; `revision` a branch, a
    tag or a commit, None for the newest.
    """

    repository: str
    revision: str | None = None
    choice: str | None = None

    @property
    def name(self) -> str:
        """What the model is called, as far as the wish says."""
        return f"{PREFIX}{self.repository}" + (f":{self.choice}" if self.choice else "")


def parse(text: str) -> Wish:
    """The wish that `text` spells, such as "hf:owner/repository:Q4_K_M". Raises InvalidInput."""
    rest, _, choice = text.removeprefix(PREFIX).partition(":")
    name, _, revision = rest.partition("@")
    usable = is_repository(name) and (not revision or is_revision(revision))
    if not text.startswith(PREFIX) or not usable:
        near = PREFIX + text if is_repository(text.partition(":")[0]) else ""
        hint = f"did you mean {near}?" if near else f"write {FORM}"
        raise InvalidInput(f"{shown(text)} is not a model of the Hub", hint)
    return Wish(name, revision or None, choice or None)


def is_repository(name: str) -> bool:
    """Whether `name` is "owner/repository" and cannot be anything else."""
    return _REPOSITORY.fullmatch(name) is not None and ".." not in name


def is_revision(name: str) -> bool:
    """Whether `name` can be a branch, a tag or a commit."""
    return _REVISION.fullmatch(name) is not None and ".." not in name


def is_commit(name: object) -> bool:
    """Whether `name` is the full hash of a commit."""
    return isinstance(name, str) and _COMMIT.fullmatch(name) is not None


def is_sha256(digest: object) -> bool:
    """Whether `digest` is a SHA-256 in lower-case hexadecimal."""
    return isinstance(digest, str) and _SHA256.fullmatch(digest) is not None


def is_file(path: str) -> bool:
    """Whether `path` of a repository can be a path below a folder on every system."""
    parts = path.split("/")
    return len(parts) <= _DEEPEST and all(
        _FILE.fullmatch(part) and not _DEVICES.fullmatch(part) for part in parts
    )


def base(path: str) -> str:
    """The last part of a repository's path."""
    return PurePosixPath(path).name


def shown(name: str, longest: int = 80) -> str:
    """`name` for people: on one line, not endless, and without power over a terminal."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return text if len(text) <= longest else text[: longest - 1] + "…"
