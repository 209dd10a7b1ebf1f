"""What is said of an engine that does not load: its own reason, and what helps against that."""

from pathlib import Path

import pytest

from edgespec.errors import BackendUnavailable
from edgespec.importing import engine
from edgespec.protocols import backend

REMEDY = "install it"


@pytest.mark.parametrize(
    ("failure", "remedy"),
    [
        ("ImportError('libengine.so: no such file')", REMEDY),
        ("RuntimeError('the processor is too old')", REMEDY),
        ("OSError(errno.EACCES, os.strerror(errno.EACCES))", REMEDY),
        ("OSError(errno.EMFILE, os.strerror(errno.EMFILE))", "more open files"),
        ("OSError(errno.ENFILE, os.strerror(errno.ENFILE))", "close other programs"),
        # As the dynamic loader's refusals arrive: without a number.
        ("ImportError(f'libengine.so: {os.strerror(errno.EMFILE)}')", "more open files"),
        ("RuntimeError(f'libengine.so: {os.strerror(errno.ENOMEM)}')", "close other programs"),
    ],
)
def test_the_remedy_is_one_for_the_cause(
    failure: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_engine.py").write_text(f"import errno, os\nraise {failure}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendUnavailable, match=r"^the engine does not load: ") as refused:
        engine("broken_engine", "the engine", REMEDY)
    assert remedy in refused.value.hint
    assert (refused.value.hint == REMEDY) == (remedy == REMEDY)


def test_a_package_that_is_missing_is_to_be_installed() -> None:
    with pytest.raises(BackendUnavailable, match="No module named 'no_such_engine'") as refused:
        engine("no_such_engine", "the engine", REMEDY)
    assert refused.value.hint == REMEDY


def test_a_backend_that_nobody_knows_is_named() -> None:
    with pytest.raises(BackendUnavailable, match="no backend is called 'abacus'"):
        backend("abacus")
