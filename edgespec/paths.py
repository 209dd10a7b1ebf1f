"""Where edgespec keeps its files: the platform's places, or all under $EDGESPEC_HOME.

The folders need not exist; whoever writes into one makes it.
"""

import os
from pathlib import Path

from platformdirs import PlatformDirs

from edgespec.errors import InvalidInput

HOME = "EDGESPEC_HOME"

_PLATFORM = PlatformDirs("edgespec", appauthor=False)


def config_dir() -> Path:
    """Settings that the user may edit."""
    return _place("config")


def data_dir() -> Path:
    """Conversations and other things that cannot be made again."""
    return _place("data")


def models_dir() -> Path:
    """Downloaded models."""
    return _place("models") if os.environ.get(HOME) else data_dir() / "models"


def cache_dir() -> Path:
    """Measurements and other things that can be made again."""
    return _place("cache")


def state_dir() -> Path:
    """What has to outlive a process, but nobody would miss."""
    return _place("state")


def log_dir() -> Path:
    """Logs."""
    return _place("log")


def _place(name: str) -> Path:
    home = os.environ.get(HOME)
    try:
        if home:
            return Path(home).expanduser().absolute() / name
        platforms: Path = getattr(_PLATFORM, f"user_{name}_path")
        return platforms
    except RuntimeError:
        raise InvalidInput(
            "this user has no home folder", f"set HOME, or {HOME} to a folder to keep everything in"
        ) from None
