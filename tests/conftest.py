import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def edgespec_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the settings, or touches the files, of whoever runs it."""
    for name in os.environ:
        if name.startswith("EDGESPEC_"):
            monkeypatch.delenv(name)
    home = tmp_path / "edgespec-home"
    monkeypatch.setenv("EDGESPEC_HOME", str(home))
    return home
