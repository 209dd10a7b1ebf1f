import pytest

from edgespec_tui.app import ChatApp
from tests.tui.talks import branched, open_store


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moves by itself, and colours do not depend on who runs the tests."""
    for name in ("NO_COLOR", "COLORTERM", "TEXTUAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "none", raising=False)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which models were asked for; none is loaded."""
    asked: list[str] = []
    monkeypatch.setattr(ChatApp, "load", lambda app: asked.append(app.settings.model))
    return asked


@pytest.fixture
def sorting() -> None:
    """The last session ended in a conversation with two answers to one question."""
    with open_store() as store:
        branched(store)
