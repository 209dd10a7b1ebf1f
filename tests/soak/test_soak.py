"""The soak in short; in long it is `python tests/soak/run.py --minutes 60`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import PATIENCE, environment

RUN = Path(__file__).parent / "run.py"


@pytest.mark.native
@pytest.mark.slow
def test_nothing_grows_and_nothing_drifts() -> None:
    done = subprocess.run(
        [sys.executable, str(RUN)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
