import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.offline import sitecustomize

# Workers that spin between two operations bring each other to a halt on cores that are busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Programs that a shell starts in the background, or by nohup, are to ignore these; those under test
# are not.
for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    """No test reaches another machine, even if what it tests takes the refusal well."""
    yield
    tried = list(sitecustomize.attempts)
    sitecustomize.attempts.clear()
    assert tried == []


@pytest.fixture(autouse=True)
def edgespec_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the settings, or touches the files, of whoever runs it."""
    for name in os.environ:
        if name.startswith("EDGESPEC_"):
            monkeypatch.delenv(name)
    home = tmp_path / "edgespec-home"
    monkeypatch.setenv("EDGESPEC_HOME", str(home))
    return home
