from pathlib import Path

import pytest

from tests.cli.process import ENDLESS


@pytest.fixture
def endless(tmp_path: Path) -> str:
    """The path of a grammar in which an answer goes on until something else ends it."""
    path = tmp_path / "endless.gbnf"
    path.write_text(ENDLESS)
    return str(path)
