"""Where edgespec keeps its files: the platform's places, or all under $EDGESPEC_HOME.

The folders need not exist; whoever writes into one makes it.
"""

import os
from pathlib import Path

from platformdirs import PlatformDirs

HOME = "EDGESPEC_HOME"

_PLATFORM = PlatformDirs("edgespec", appauthor=False)


def config_dir() -> Path:
    """Settings that the user may edit."""
    return _home("config") or _PLATFORM.user_config_path


def data_dir() -> Path:
    """Conversations and other things that cannot be made again."""
    return _home("data") or _PLATFORM.user_data_path


def models_dir() -> Path:
    """Downloaded models."""
    return _home("models") or data_dir() / "models"


def cache_dir() -> Path:
    """Measurements and other things that can be made again."""
    return _home("cache") or _PLATFORM.user_cache_path


def state_dir() -> Path:
    """What has to outlive a process, but nobody would miss."""
    return _home("state") or _PLATFORM.user_state_path


def log_dir() -> Path:
    """Logs."""
    return _home("log") or _PLATFORM.user_log_path


def _home(name: str) -> Path | None:
    home = os.environ.get(HOME)
    return Path(home).expanduser().absolute() / name if home else None
