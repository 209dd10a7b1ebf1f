from collections.abc import Callable
from pathlib import Path

import pytest

from edgespec import paths

ALL = (paths.config_dir, paths.data_dir, paths.models_dir, paths.cache_dir, paths.log_dir)


@pytest.mark.parametrize("place", ALL)
def test_edgespec_home_holds_everything(place: Callable[[], Path], edgespec_home: Path) -> None:
    assert place() == edgespec_home / place.__name__.removesuffix("_dir")
    assert not edgespec_home.exists()


def test_a_home_may_be_relative_or_the_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGESPEC_HOME", "here")
    assert paths.data_dir() == tmp_path / "here/data"
    monkeypatch.setenv("EDGESPEC_HOME", "~/there")
    assert paths.data_dir() == Path.home() / "there/data"


def test_without_it_the_platform_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    for empty in (True, False):
        if empty:
            monkeypatch.setenv("EDGESPEC_HOME", "")
        else:
            monkeypatch.delenv("EDGESPEC_HOME")
        assert all("edgespec" in str(place()) and place().is_absolute() for place in ALL)
        assert paths.models_dir().parent == paths.data_dir()
